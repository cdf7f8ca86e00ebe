"""Counts of ones equal Python's, for every input where these are few."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from amaranth.hdl import Const, Module, Signal, Value
from amaranth.sim import Simulator, SimulatorContext
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.hw.popcount import LUT_INPUTS, Pipeline, height, popcount, weighted_popcount


def outputs(width: int, function: Callable[[Signal], Value], words: Iterable[int]) -> tuple[list[int], int]:
    """What a function of a word gives for each of `words`, and its width in bits."""
    m, word = Module(), Signal(width)
    value = function(word)
    out = Signal(value.shape())
    m.d.comb += out.eq(value)
    found = []

    async def bench(ctx: SimulatorContext) -> None:
        for each in words:
            ctx.set(word, each)
            found.append(ctx.get(out))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return found, len(out)


@pytest.mark.parametrize("lut_inputs", LUT_INPUTS)
@pytest.mark.parametrize("count", range(1, 11))
def test_every_word_of_few_bits_is_counted(count: int, lut_inputs: int) -> None:
    words = range(1 << count)
    assert outputs(count, lambda word: popcount(list(word), lut_inputs=lut_inputs), words) == (
        [word.bit_count() for word in words],
        count.bit_length(),
    )


@settings(max_examples=12, deadline=None)
@given(data=st.data(), count=st.integers(11, 200), lut_inputs=st.sampled_from(LUT_INPUTS))
def test_any_word_is_counted(data: st.DataObject, count: int, lut_inputs: int) -> None:
    words = [0, (1 << count) - 1, *data.draw(st.lists(st.integers(0, (1 << count) - 1), max_size=8))]
    assert outputs(count, lambda word: popcount(list(word), lut_inputs=lut_inputs), words) == (
        [word.bit_count() for word in words],
        count.bit_length(),
    )


def weighted(word: int, count: int, planes: int) -> int:
    return sum((word >> j * count & (1 << count) - 1).bit_count() << j for j in range(planes))


@pytest.mark.parametrize(("count", "planes"), [(n, k) for n in range(1, 11) for k in range(1, 11) if n * k <= 10])
def test_every_set_of_few_planes_is_weighted(count: int, planes: int) -> None:
    words = range(1 << count * planes)
    found, width = outputs(count * planes, lambda word: weighted_popcount(split(word, count, planes)), words)
    assert found == [weighted(word, count, planes) for word in words]
    assert width == (count * ((1 << planes) - 1)).bit_length()


@settings(max_examples=12, deadline=None)
@given(data=st.data(), count=st.integers(1, 24), planes=st.integers(1, 9), lut_inputs=st.sampled_from(LUT_INPUTS))
def test_any_planes_are_weighted(data: st.DataObject, count: int, planes: int, lut_inputs: int) -> None:
    whole = (1 << count * planes) - 1
    words = [0, whole, *data.draw(st.lists(st.integers(0, whole), max_size=8))]
    found, width = outputs(count * planes, lambda word: weighted_popcount(split(word, count, planes), lut_inputs=lut_inputs), words)
    assert found == [weighted(word, count, planes) for word in words]
    assert width == (count * ((1 << planes) - 1)).bit_length()


def split(word: Value, count: int, planes: int) -> list[list[Value]]:
    return [list(word[j * count : (j + 1) * count]) for j in range(planes)]


@settings(max_examples=12, deadline=None)
@given(data=st.data(), count=st.integers(1, 70), planes=st.integers(1, 3), stages=st.integers(1, 9), wide=st.booleans())
def test_a_pipelined_count_is_as_many_clocks_late(data: st.DataObject, count: int, planes: int, stages: int, wide: bool) -> None:
    whole = (1 << count * planes) - 1
    words = [whole, 0, *data.draw(st.lists(st.integers(0, whole), max_size=8))]
    m, word = Module(), Signal(count * planes)
    inputs = 6 if wide else 4
    value = weighted_popcount(split(word, count, planes), Pipeline(m, Const(1), stages, height(planes, count, inputs)), inputs)
    found = []

    async def bench(ctx: SimulatorContext) -> None:
        for each in (*words, *[0] * stages):
            ctx.set(word, each)
            found.append(ctx.get(value))
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert found == [0] * stages + [weighted(word, count, planes) for word in words]


def test_the_first_register_is_near_the_memory_and_the_others_even() -> None:
    behind = {stages: sorted(Pipeline(None, Const(1), stages, 5).cuts.elements(), reverse=True) for stages in (1, 2, 3)}
    assert behind == {1: [4], 2: [5, 2], 3: [5, 4, 2]}  # adders between it and the sum; 5: none before it
