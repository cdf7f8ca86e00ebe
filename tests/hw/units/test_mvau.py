"""The sums in an MVAU's datapath: however they are made, they are the accumulator that `from_dot` says."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, Value
from amaranth.sim import Simulator, SimulatorContext
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.flows.netlist import started
from arbonn.hw.cmvm.verilog import CELLS
from arbonn.hw.datatypes import DataType, datatype
from arbonn.hw.graph import Stream
from arbonn.hw.products import lane_sum, plane_sum, products
from arbonn.hw.rom import pack_words
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.verilog import to_verilog
from tests.strategies import seeds, types, values

BIPOLAR = datatype("BIPOLAR")
WAYS: dict[str, Callable[[list[tuple[Value, Value]], DataType], Value]] = {
    "planes": plane_sum,
    "lanes": lane_sum,
    "as chosen": lambda pairs, dtype: products(pairs, dtype, BIPOLAR, "popcount"),
}


@settings(max_examples=12, deadline=None)
@given(dtype=types, lanes=st.integers(1, 24), seed=seeds)
def test_each_way_of_adding_gives_the_accumulator(dtype: DataType, lanes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    weights, inputs = values(random, BIPOLAR, (20, lanes)), values(random, dtype, (20, lanes))
    expected = [int(MVAU("fc", w[None], BIPOLAR).from_dot(x[None] @ w[:, None], dtype)[0, 0]) for x, w in zip(inputs, weights, strict=True)]
    words = list(zip(pack_words(dtype.encode(inputs), dtype.bits), pack_words(BIPOLAR.encode(weights), 1), strict=True))

    m, x, w = Module(), Signal(lanes * dtype.bits), Signal(lanes)
    pairs = [(x[k * dtype.bits : (k + 1) * dtype.bits], w[k]) for k in range(lanes)]
    sums = {name: Signal(64, name=name) for name in WAYS}
    m.d.comb += [sums[name].eq(way(pairs, dtype)) for name, way in WAYS.items()]
    seen: dict[str, list[int]] = {name: [] for name in WAYS}

    async def bench(ctx: SimulatorContext) -> None:
        for code, weight in words:
            ctx.set(x, code)
            ctx.set(w, weight)
            for name, value in sums.items():
                seen[name].append(ctx.get(value))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == dict.fromkeys(WAYS, expected)


BENCH = """
module bench;
  reg clk = 0, rst = 1, valid = 0, ready = 0; reg [{x_high}:0] x = 0;
  wire [1:0] taken, given; wire [{high}:0] a, b; integer k, seen = 0, wrong = 0;
  cells one(.clk(clk), .rst(rst), .i__valid(valid), .i__payload(x),
    .i__ready(taken[0]), .o__valid(given[0]), .o__payload(a), .o__ready(ready));
  plain two(.clk(clk), .rst(rst), .i__valid(valid), .i__payload(x),
    .i__ready(taken[1]), .o__valid(given[1]), .o__payload(b), .o__ready(ready));
  initial begin
    #1 clk = 1; #1 clk = 0; rst = 0;
    for (k = 0; k < 1500; k = k + 1) begin
      if (!valid || taken[0]) begin valid = $urandom; x = {{$urandom, $urandom}}; end
      ready = $urandom;
      #1 if (taken[0] !== taken[1] || given[0] !== given[1] || (given[0] && a !== b)) wrong = wrong + 1;
      seen = seen + (given[0] && ready); clk = 1; #1 clk = 0;
    end
    $display("%0d %0d", seen, wrong);
  end
endmodule
"""


@pytest.mark.parametrize(("dtype", "columns", "lanes", "depth"), [("BIPOLAR", 78, 39, 3), ("INT3", 32, 16, 7), ("UINT2", 14, 7, 4)])
def test_engines_of_cells_and_of_logic_are_one_circuit_in_every_cycle(
    dtype: str, columns: int, lanes: int, depth: int, tmp_path: Path
) -> None:
    random, kind = np.random.default_rng(0), datatype(dtype)
    middle = columns * ((1 << kind.bits) - 1) // 2  # of the accumulators, where an answer tells most
    one = MVAU("u", random.choice([-1, 1], (6, columns)), BIPOLAR, thresholds=random.integers(middle - 3, middle + 3, (6, 1)), depth=depth)
    ports = {"i": Stream("i", (columns,), kind, lanes), "o": Stream("o", (6,), BIPOLAR, 3)}
    text = to_verilog(replace(one, primitives=True).component(ports), "cells") + to_verilog(one.component(ports), "plain")
    assert text.count("LUT6_2 ") > 0
    (tmp_path / "all.v").write_text(CELLS + started(text) + BENCH.format(x_high=ports["i"].width - 1, high=ports["o"].width - 1))
    subprocess.run(["iverilog", "-g2005-sv", "-s", "bench", "-o", "sim", "all.v"], cwd=tmp_path, check=True)
    seen, wrong = subprocess.run(["vvp", "sim"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout.split()
    assert wrong == "0"
    assert int(seen) > 100
