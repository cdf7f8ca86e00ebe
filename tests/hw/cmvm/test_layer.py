"""A built layer is its matrix, whatever the matrix: every output on every vector, whole sums and bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from arbonn.errors import InputError
from arbonn.hw.cmvm.layer import Layer, build, check
from arbonn.hw.cmvm.netlist import Chain, Lut
from arbonn.hw.datatypes import Integers

KINDS = {"signed": [-1, 1], "binary": [0, 1], "ternary": [-1, 0, 1], "sparse": [-1, 0, 0, 0, 0, 1], "positive": [1], "negative": [-1]}


@st.composite
def matrices(draw: st.DrawFn, inputs: int = 10, outputs: int = 9) -> Integers:
    """Matrices of every kind; some outputs may be equal, opposite or nearly so."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m = draw(st.integers(1, inputs)), draw(st.integers(1, outputs))
    weights = random.choice(KINDS[draw(st.sampled_from(sorted(KINDS)))], (n, m))
    if m > 1 and draw(st.booleans()):
        weights[:, -1] = weights[:, 0] * draw(st.sampled_from([1, -1 if (weights.min() < 0) else 1]))
    return weights.astype(np.int64)


def every(inputs: int) -> Integers:
    return np.arange(1 << inputs)[:, None] >> np.arange(inputs) & 1


def sums_of(layer: Layer, vectors: Integers) -> Integers:
    """(vectors, outputs) as the netlist gives them."""
    found = []
    for (low, _), word in zip(layer.ranges, layer.netlist.evaluate(vectors.astype(np.uint8)), strict=True):
        number = word.astype(np.int64) @ (1 << np.arange(word.shape[1]))
        found.append(number - ((word[:, -1].astype(np.int64) << word.shape[1]) if low < 0 and not layer.one_bit else 0))
    return np.stack(found, axis=1)


@settings(max_examples=60)
@given(weights=matrices(), seed=st.integers(0, 99), levels=st.sampled_from([None, None, 4, 6]))
def test_whole_sums_are_the_product(weights: Integers, seed: int, levels: int | None) -> None:
    layer = build(weights, seed=seed, moves=2000, levels=levels)
    vectors = every(len(weights))
    assert_array_equal(sums_of(layer, vectors), vectors @ weights)
    assert levels is None or layer.netlist.counts().levels <= levels


@settings(max_examples=60)
@given(weights=matrices(), seed=st.integers(0, 99), data=st.data())
def test_bits_are_thresholds_reached(weights: Integers, seed: int, data: st.DataObject) -> None:
    thresholds = np.array(data.draw(st.lists(st.integers(-12, 12), min_size=weights.shape[1], max_size=weights.shape[1])))
    layer = build(weights, thresholds, seed=seed, moves=2000)
    vectors = every(len(weights))
    assert_array_equal(sums_of(layer, vectors), vectors @ weights >= thresholds)


@pytest.mark.parametrize(("kind", "n"), [("signed", 40), ("signed", 70), ("binary", 70), ("ternary", 40), ("positive", 300)])
def test_words_of_every_width(kind: str, n: int) -> None:
    random = np.random.default_rng(0)
    weights = random.choice(KINDS[kind], (n, 8))
    thresholds = random.integers(-3, 4, 8)
    vectors = (random.random((500, n)) < random.random((500, 1))).astype(np.int64)
    assert_array_equal(sums_of(build(weights, moves=1000), vectors), vectors @ weights)
    assert_array_equal(sums_of(build(weights, thresholds, moves=1000), vectors), vectors @ weights >= thresholds)


def test_the_result_depends_on_the_seed_alone() -> None:
    weights = np.random.default_rng(0).choice([-1, 1], (24, 24))
    first, again, other = (build(weights, seed=seed, moves=20_000) for seed in (1, 1, 2))
    assert first.netlist.cells == again.netlist.cells != other.netlist.cells
    assert not first.stopped


def test_time_that_is_over_stops_the_search_with_the_best_so_far() -> None:
    weights = np.random.default_rng(0).choice([-1, 1], (16, 16))
    layer = build(weights, seconds=0.0)
    assert layer.stopped
    assert layer.moves == 16 * 150
    assert layer.verified == 1000 + 2 + 3 * 16


def test_the_check_finds_one_wrong_table_entry() -> None:
    weights = np.random.default_rng(0).choice([-1, 1], (16, 6))
    netlist = build(weights, moves=1000).netlist
    assert check(netlist, weights, None, seed=0)
    for at, cell in enumerate(netlist.cells):
        if isinstance(cell, Lut):
            wrong = replace(cell, tables=(cell.tables[0] ^ 1, *cell.tables[1:]))
        else:
            assert isinstance(cell, Chain)
            first = replace(cell.positions[0], table=cell.positions[0].table ^ 1)
            wrong = replace(cell, positions=(first, *cell.positions[1:]))  # type: ignore[assignment]
        broken = replace(netlist, cells=[*netlist.cells[:at], wrong, *netlist.cells[at + 1 :]], made={})
        broken.nets = netlist.nets
        with pytest.raises(AssertionError, match="in place of"):
            check(broken, weights, None, seed=0)


@pytest.mark.parametrize("levels", [5, 7])
def test_a_bound_on_levels_holds_and_costs(levels: int) -> None:
    weights = np.random.default_rng(0).choice([-1, 1], (40, 12))
    free, bounded = build(weights, moves=5000), build(weights, moves=5000, levels=levels)
    assert bounded.netlist.counts().levels <= levels
    assert bounded.verified == free.verified
    assert bounded.netlist.counts().luts <= 1.3 * free.netlist.counts().luts


def test_a_bound_that_cannot_be_kept_is_told() -> None:
    with pytest.raises(InputError) as caught:
        build(np.ones((64, 1), dtype=np.int64), moves=100, levels=2)
    assert str(caught.value) == ("InputError: 2 levels: no netlist with so few was found\n  allowed  a bound that leaves room for the sums")


@pytest.mark.parametrize("threshold", [-1, 0, 1])
def test_bits_behind_a_parent_of_one_bit(threshold: int) -> None:
    weights = np.array([[-1, 1]])
    assert_array_equal(sums_of(build(weights, np.full(2, threshold)), every(1)), every(1) @ weights >= threshold)
