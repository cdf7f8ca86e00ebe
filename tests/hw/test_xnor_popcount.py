"""Engines of primitives count what a plain sum counts: for every input where these are few."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.hw.xnor_popcount import xnor_popcount
from tests.strategies import seeds


def counted(vectors: np.ndarray, *, xor: bool = False, group: int = 8) -> list[int]:
    bits = xnor_popcount(vectors.shape[1] // 2, xor=xor, group=group).evaluate(vectors.astype(np.uint8))[0]
    assert bits.shape[1] == (vectors.shape[1] // 2).bit_length()
    return (bits.astype(np.int64) << np.arange(bits.shape[1])).sum(axis=1).tolist()


def expected(vectors: np.ndarray, *, xor: bool = False) -> list[int]:
    return ((vectors[:, ::2] == vectors[:, 1::2]) != xor).sum(axis=1).tolist()


@pytest.mark.parametrize("xor", [False, True])
@pytest.mark.parametrize("count", range(1, 8))
def test_every_pair_of_short_words_is_counted(count: int, xor: bool) -> None:
    vectors = np.array(list(product([0, 1], repeat=2 * count)))
    assert counted(vectors, xor=xor) == expected(vectors, xor=xor)


@settings(max_examples=25, deadline=None)
@given(count=st.integers(8, 300), group=st.integers(1, 20), xor=st.booleans(), seed=seeds)
def test_any_pair_of_words_is_counted(count: int, group: int, xor: bool, seed: int) -> None:
    vectors = np.random.default_rng(seed).integers(0, 2, (50, 2 * count))
    vectors[0], vectors[1], vectors[2, ::2] = 0, 1, 1 - vectors[2, 1::2]  # all products hold, twice, and none
    assert counted(vectors, xor=xor, group=group) == expected(vectors, xor=xor)


@pytest.mark.parametrize(("count", "luts", "phys"), [(64, 55, 65), (128, 108, 127), (256, 212, 249), (512, 422, 495)])
def test_it_takes_less_than_a_lut_for_each_operation(count: int, luts: int, phys: int) -> None:
    found = xnor_popcount(count).counts()
    assert (found.luts, found.phys) == (luts, phys)
