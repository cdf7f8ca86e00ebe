"""The sums in an MVAU's datapath: however they are made, they are the accumulator that `from_dot` says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from amaranth.hdl import Module, Signal, Value
from amaranth.sim import Simulator, SimulatorContext
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.hw.datatypes import DataType, datatype
from arbonn.hw.rom import pack_words
from arbonn.hw.units.mvau import MVAU, lane_sum, plane_sum, products
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
