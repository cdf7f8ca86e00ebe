"""Layers of few-bit inputs and integer weights are their product, and cost what their connections cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from arbonn.hw.cmvm.layer import Layer
from arbonn.hw.cmvm.netlist import Lut, Netlist
from arbonn.hw.cmvm.weighted import Adder, Number, Term, parts_of, weighted
from arbonn.hw.datatypes import Integers, smallest

KINDS = {
    "bipolar": [-1, 1],
    "binary": [0, 1],
    "ternary": [-1, 0, 1],
    "sbnn": [13, -19, -19],
    "scaled": [0, -6],
    "integers": [*range(-8, 8)],
}


@st.composite
def products(draw: st.DrawFn) -> tuple[Integers, tuple[int, ...]]:
    """Weights (inputs, outputs) of every kind, and the places of an input's bits: unsigned, or two's complement."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bits = draw(st.integers(1, 4))
    weights = random.choice(
        np.array(KINDS[draw(st.sampled_from(sorted(KINDS)))]), (draw(st.integers(1, 8 // bits + 1)), draw(st.integers(1, 5)))
    )
    places = [1 << j for j in range(bits)]
    places[-1] *= draw(st.sampled_from((1, -1))) if bits > 1 else 1
    return weights.astype(np.int64), tuple(places)


def every(weights: Integers, places: tuple[int, ...]) -> tuple[Integers, Integers]:
    """Every vector of bits, (vectors, inputs * bits), and the inputs (vectors, inputs) that they are."""
    count = len(weights) * len(places)
    bits = np.arange(1 << count)[:, None] >> np.arange(count) & 1
    return bits, bits.reshape(-1, len(weights), len(places)) @ np.array(places)


def outputs_of(layer: Layer, bits: Integers) -> Integers:
    found = []
    for (low, _), word in zip(layer.ranges, layer.netlist.evaluate(bits.astype(np.uint8)), strict=True):
        number = word.astype(np.int64) @ (1 << np.arange(word.shape[1]))
        found.append(number - ((word[:, -1].astype(np.int64) << word.shape[1]) if low < 0 and not layer.one_bit else 0))
    return np.stack(found, axis=1)


@settings(max_examples=30)
@given(drawn=products(), seed=st.integers(0, 9))
def test_whole_sums_are_the_product(drawn: tuple[Integers, tuple[int, ...]], seed: int) -> None:
    weights, places = drawn
    bits, x = every(weights, places)
    layer = weighted(weights, places, moves=100, seed=seed)
    assert_array_equal(outputs_of(layer, bits), x @ weights)
    assert not layer.stopped


@settings(max_examples=30)
@given(drawn=products(), count=st.integers(1, 3), data=st.data())
def test_bits_are_thresholds_reached(drawn: tuple[Integers, tuple[int, ...]], count: int, data: st.DataObject) -> None:
    weights, places = drawn
    bits, x = every(weights, places)
    reach = int(np.abs(x @ weights).max()) + 1
    flat = data.draw(st.lists(st.integers(-reach, reach), min_size=count * weights.shape[1], max_size=count * weights.shape[1]))
    thresholds = np.sort(np.array(flat).reshape(-1, count), axis=1)
    layer = weighted(weights, places, thresholds, moves=100)
    reached = (x @ weights)[:, :, None] >= thresholds
    assert_array_equal(outputs_of(layer, bits), reached.reshape(len(x), -1))


@given(drawn=products())
def test_parts_add_up_to_the_matrix(drawn: tuple[Integers, tuple[int, ...]]) -> None:
    weights, _ = drawn
    parts = parts_of(weights)
    assert set(np.unique(parts.columns)) <= {-1, 0, 1}
    again = [sum((factor * parts.columns[:, c] for c, factor in recipe), np.zeros(len(weights), np.int64)) for recipe in parts.recipes]
    assert_array_equal(np.stack(again, axis=1), weights)


@pytest.mark.parametrize("low", [0, -1])
def test_a_neuron_of_six_connections_to_bits_is_one_lut_whatever_its_threshold(low: int) -> None:
    random = np.random.default_rng(0)
    weights = np.zeros((100, 40), dtype=np.int64)
    for row in range(40):
        weights[random.choice(100, 6, replace=False), row] = random.choice([low, 1], 6) if low else 1
    layer = weighted(weights, (1,), random.integers(-1, 5, (40, 1)), moves=100)
    assert all(isinstance(cell, Lut) for cell in layer.netlist.cells)
    assert layer.netlist.counts().luts <= 40
    assert layer.netlist.counts().levels == 1


def test_two_values_cost_their_rarer_one_and_one_sum_for_all() -> None:
    random = np.random.default_rng(0)
    ones = np.zeros((64, 32), dtype=bool)
    for row in range(32):
        ones[random.choice(64, 4, replace=False), row] = True
    thresholds = np.full((32, 1), -100)
    sparse = weighted(np.where(ones, 13, -19), (1,), thresholds, moves=1000).netlist.counts().luts
    dense = weighted(random.choice([13, -19], (64, 32)), (1,), thresholds, moves=1000).netlist.counts().luts
    assert sparse < dense / 2


def test_an_input_of_more_bits_costs_a_layer_for_each() -> None:
    weights = np.random.default_rng(0).choice([-1, 1], (16, 8))
    one, three = (weighted(weights, places, moves=1000).netlist.counts().luts for places in ((1,), (1, 2, 4)))
    assert 3 * one <= three <= 3 * one + 2 * 8 * 9  # and two adders of at most 9 bits for each output


@given(a=st.integers(-9, 9), b=st.integers(-9, 9), place=st.integers(0, 3), sign=st.sampled_from((1, -1)), factor=st.integers(-20, 20))
def test_constants_add_and_multiply(a: int, b: int, place: int, sign: int, factor: int) -> None:
    adder = Adder(Netlist(10))
    numbers = [Number(tuple(range(2 + 5 * k, 7 + 5 * k)), -16, 15) for k in range(2)]
    total = adder.plain(Term(adder.sum(numbers[0], numbers[1], place, sign)))
    times = adder.plain(adder.times(Term(numbers[0]), factor))
    adder.netlist.outputs = [total.nets, times.nets]
    inputs = np.array([[v >> k & 1 for v in (a, b) for k in range(5)]], dtype=np.uint8)
    seen = [smallest(-1 << (len(word[0]) - 1), 0).decode(word[0] @ (1 << np.arange(len(word[0])))) if len(word[0]) else 0
            for word in (w.astype(np.int64) for w in adder.netlist.evaluate(inputs))]  # fmt: skip
    assert seen == [a + sign * (b << place), factor * a]
