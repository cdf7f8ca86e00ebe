"""Sums over connections are the dot products of the weights that they were made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbonn.hw.connections import Connections
from arbonn.hw.datatypes import datatype
from tests.strategies import seeds, values


@given(
    two=st.tuples(st.integers(-3, 3), st.integers(-3, 3)),
    share=st.floats(0, 1),
    kind=st.sampled_from(["BIPOLAR", "BINARY", "UINT2", "INT3"]),
    seed=seeds,
)
def test_connected_and_all_inputs_give_the_dot_product(two: tuple[int, int], share: float, kind: str, seed: int) -> None:
    random, dtype = np.random.default_rng(seed), datatype(kind)
    weights = np.where(random.random((5, 9)) < share, *two)
    x, lists = values(random, dtype, (6, 9)), Connections(weights)
    codes = (x + 1) // 2 if kind == "BIPOLAR" else x
    affine = lists.affine(dtype, lambda dot, dtype: dot)
    sums = affine.one * codes @ lists.connected.T + affine.every * codes.sum(axis=1, keepdims=True)
    assert (affine.factor * sums + affine.shifts == x @ weights.T).all()
    low, high = lists.sums_range(affine, dtype)
    assert low <= sums.min()
    assert sums.max() <= high
    assert 2 * lists.count <= weights.size


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_places_lead_back_to_the_columns(lanes: int) -> None:
    weights = np.array([[0, 1, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1]])
    words, lane_bits = 8 // lanes, lanes.bit_length() - 1
    word_bits = words.bit_length() - 1
    codes = Connections(weights).places(lanes, 3, (word_bits, lane_bits, 1))
    found = [[int(c % words * lanes + (c >> word_bits) % lanes) for c in row if c >> (word_bits + lane_bits)] for row in codes]
    assert found == [[1, 4], [], [7]]
