"""Counts of ones equal Python's, for every input where these are few."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from amaranth.hdl import Module, Signal, Value
from amaranth.sim import Simulator, SimulatorContext
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.hw.popcount import popcount, weighted_popcount


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


@pytest.mark.parametrize("count", range(1, 11))
def test_every_word_of_few_bits_is_counted(count: int) -> None:
    words = range(1 << count)
    assert outputs(count, lambda word: popcount(list(word)), words) == ([word.bit_count() for word in words], count.bit_length())


@settings(max_examples=12, deadline=None)
@given(data=st.data(), count=st.integers(11, 200))
def test_any_word_is_counted(data: st.DataObject, count: int) -> None:
    words = [0, (1 << count) - 1, *data.draw(st.lists(st.integers(0, (1 << count) - 1), max_size=8))]
    assert outputs(count, lambda word: popcount(list(word)), words) == ([word.bit_count() for word in words], count.bit_length())


def weighted(word: int, count: int, planes: int) -> int:
    return sum((word >> j * count & (1 << count) - 1).bit_count() << j for j in range(planes))


@pytest.mark.parametrize(("count", "planes"), [(n, k) for n in range(1, 11) for k in range(1, 11) if n * k <= 10])
def test_every_set_of_few_planes_is_weighted(count: int, planes: int) -> None:
    words = range(1 << count * planes)
    found, width = outputs(count * planes, lambda word: weighted_popcount(split(word, count, planes)), words)
    assert found == [weighted(word, count, planes) for word in words]
    assert width == (count * ((1 << planes) - 1)).bit_length()


@settings(max_examples=12, deadline=None)
@given(data=st.data(), count=st.integers(1, 24), planes=st.integers(1, 9))
def test_any_planes_are_weighted(data: st.DataObject, count: int, planes: int) -> None:
    whole = (1 << count * planes) - 1
    words = [0, whole, *data.draw(st.lists(st.integers(0, whole), max_size=8))]
    found, width = outputs(count * planes, lambda word: weighted_popcount(split(word, count, planes)), words)
    assert found == [weighted(word, count, planes) for word in words]
    assert width == (count * ((1 << planes) - 1)).bit_length()


def split(word: Value, count: int, planes: int) -> list[list[Value]]:
    return [list(word[j * count : (j + 1) * count]) for j in range(planes)]
