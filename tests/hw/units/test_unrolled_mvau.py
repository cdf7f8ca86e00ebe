"""The UnrolledMVAU's two forms are one circuit; its stages hold whole LUT levels; what it refuses."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from arbonn.errors import GraphError
from arbonn.flows.netlist import started
from arbonn.hw.cmvm.layer import build
from arbonn.hw.cmvm.netlist import Lut
from arbonn.hw.cmvm.stages import cut
from arbonn.hw.cmvm.verilog import CELLS
from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import Stream
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.unrolled_mvau import UnrolledMVAU
from arbonn.hw.verilog import to_verilog
from tests.strategies_images import alone

BIT = datatype("BIPOLAR")
RANDOM = np.random.default_rng(0)
BENCH = """
module bench;
  reg clk = 0, rst = 1, valid = 0, ready = 0; reg [19:0] x = 0;
  wire [1:0] taken, given; wire [{high}:0] a, b; integer k, seen = 0, wrong = 0;
  cells one(.clk(clk), .rst(rst), .i__valid(valid), .i__payload(x),
    .i__ready(taken[0]), .o__valid(given[0]), .o__payload(a), .o__ready(ready));
  plain two(.clk(clk), .rst(rst), .i__valid(valid), .i__payload(x),
    .i__ready(taken[1]), .o__valid(given[1]), .o__payload(b), .o__ready(ready));
  initial begin
    #1 clk = 1; #1 clk = 0; rst = 0;
    for (k = 0; k < 600; k = k + 1) begin
      if (!valid || taken[0]) begin valid = $urandom; x = $urandom; end
      ready = $urandom;
      #1 if (taken[0] !== taken[1] || given[0] !== given[1] || (given[0] && a !== b)) wrong = wrong + 1;
      seen = seen + (given[0] && ready); clk = 1; #1 clk = 0;
    end
    $display("%0d %0d", seen, wrong);
  end
endmodule
"""


def node(**changes: object) -> UnrolledMVAU:
    weights = RANDOM.choice([-1, 1], (6, 20))
    return replace(UnrolledMVAU("u", weights, BIT, thresholds=RANDOM.integers(6, 15, (6, 1)), depth=2), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("thresholds", "output"), [(True, "BIPOLAR"), (False, "UINT5")])
def test_cells_and_logic_are_one_circuit_in_every_cycle(thresholds: bool, output: str, tmp_path: Path) -> None:
    one = node(primitives=True) if thresholds else node(primitives=True, thresholds=None)
    ports = {"i": Stream("i", (20,), BIT, 20), "o": Stream("o", (6,), datatype(output), 6)}
    text = to_verilog(one.component(ports), "cells") + to_verilog(replace(one, primitives=False).component(ports), "plain")
    assert "CARRY4" in text
    assert text.count("LUT6_2 ") > 0
    (tmp_path / "all.v").write_text(CELLS + started(text) + BENCH.format(high=ports["o"].width - 1))
    subprocess.run(["iverilog", "-g2005-sv", "-s", "bench", "-o", "sim", "all.v"], cwd=tmp_path, check=True)
    seen, wrong = subprocess.run(["vvp", "sim"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout.split()
    assert wrong == "0"
    assert int(seen) > 100


def test_values_are_the_folded_layers() -> None:
    one = node()
    ports = {"i": Stream("i", (20,), BIT, 20), "o": Stream("o", (6,), BIT, 6)}
    x = RANDOM.choice([-1, 1], (50, 20))
    folded = MVAU("m", one.weights, BIT, thresholds=one.thresholds)
    assert_array_equal(one.evaluate({"i": x}, ports)["o"], folded.evaluate({"i": x}, ports)["o"])


@given(depth=st.integers(1, 9), seed=st.integers(0, 3))
def test_stages_hold_whole_levels_and_no_more_than_they_must(depth: int, seed: int) -> None:
    netlist = build(np.random.default_rng(seed).choice([-1, 1], (20, 4)), moves=100).netlist
    stages, whole = cut(netlist, depth), netlist.counts().levels
    assert -(-whole // depth) <= stages.levels <= whole
    assert stages.levels == whole or depth > 1
    level = [0] * netlist.nets
    for cell in netlist.cells:
        reads = [n for n in (cell.inputs if isinstance(cell, Lut) else cell.reads) if n > 1]
        stage = stages.birth[cell.outs[0]]
        assert 1 <= stage <= depth
        assert all(stages.birth[n] <= stage for n in reads)
        at = 1 + max((level[n] for n in reads if stages.birth[n] == stage), default=0)
        assert at <= stages.levels
        for net in cell.outs:
            level[net] = at
    if depth == 1:
        assert stages.registers([net for word in netlist.outputs for net in word]) == 0


@pytest.mark.parametrize(
    ("wrong", "streams", "problem"),
    [
        (node(depth=0), {}, "depth 0 and 20000 moves (1 or more and 0 or more allowed)"),
        (node(), {"i": ((20,), BIT, 10)}, "10 of 20 and 6 of 6 lanes (all are needed)"),
        (
            node(),
            {"i": ((20,), datatype("UINT9"), 20)},
            "UINT9 inputs and BIPOLAR weights (at most 8 bits allowed)",
        ),
    ],
)
def test_what_is_not_legal_is_said(wrong: UnrolledMVAU, streams: dict[str, object], problem: str) -> None:
    with pytest.raises(GraphError) as caught:
        alone(wrong, {"i": ((20,), BIT, 20), "o": ((6,), BIT, 6), **streams})  # type: ignore[dict-item]
    assert caught.value.found == f"u (UnrolledMVAU): {problem}"
