"""Floats to integers: grids of values, and logits that keep their order."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_array_equal

from arbonn.errors import LoweringError
from arbonn.flows.lowering.grid import affine, on_grid
from arbonn.flows.lowering.logits import WIDEST, integer_logits, keeps_order

scales = st.floats(2.0**-10, 2.0**10, width=32)
integers = arrays(np.int64, st.integers(1, 40), elements=st.integers(-127, 127))


@given(n=integers, scale=scales)
def test_integers_times_a_float32_scale_are_found_again(n: np.ndarray, scale: float) -> None:
    values = n.astype(np.float32) * np.float32(scale)
    grid = on_grid(values)
    assert grid is not None
    assert grid.base == 0
    common = np.gcd.reduce(n) or 1
    assert_array_equal(grid.integers * common, n)
    assert grid.deviation <= 2.0**-22 * np.abs(values).max()
    assert np.abs(grid.step * grid.integers - values).max() <= grid.deviation


@given(n=arrays(np.int64, st.integers(3, 40), elements=st.integers(0, 255)), scale=st.floats(0.5, 2), base=st.floats(0.1, 0.4))
def test_a_base_that_is_no_multiple_is_kept(n: np.ndarray, scale: float, base: float) -> None:
    values = n * scale + base
    grid = on_grid(values)
    assert grid is not None
    assert np.abs(grid.base + grid.step * grid.integers - values).max() <= 1e-4 * np.abs(values).max()


def test_types_are_the_narrowest() -> None:
    kinds = {(-2, 2): "BIPOLAR", (0, 5): "BINARY", (0.0, 0.1, 0.3): "UINT2", (-1, 0, 1): "INT2", (-3.5,): "BIPOLAR", (0,): "BINARY"}
    for values, kind in kinds.items():
        grid = on_grid(np.array(values, np.float32))
        assert grid is not None
        assert grid.dtype.name == kind


def test_values_on_no_grid() -> None:
    assert on_grid(np.array([0.1, 0.25, 0.9177, 2.7182])) is None
    assert on_grid(np.array([1.0, np.inf])) is None
    assert on_grid(np.array([1.0, np.nan])) is None
    assert on_grid(np.random.default_rng(0).normal(size=200)) is None


@given(step=st.floats(-4, 4).filter(lambda s: abs(s) > 1e-3), base=st.floats(-4, 4), low=st.integers(-9, 9), count=st.integers(2, 40))
def test_affine_functions_are_found(step: float, base: float, low: int, count: int) -> None:
    codes = np.arange(low, low + count)
    values = np.repeat((base + step * codes)[:, None], 3, axis=1)
    found = affine(values, codes)
    assert found is not None
    assert np.allclose(found[:2], (step, base), rtol=1e-6, atol=1e-5)
    values[count // 2, 1] += 0.01 * (abs(base) + abs(step) * (abs(low) + count))
    assert affine(values, codes) is None


values = arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.integers(-40, 40).map(lambda v: v / 8))


def compares_alike(old: np.ndarray, new: np.ndarray, reachable: np.ndarray) -> bool:
    """The definition, pair by pair."""
    places = [p for p in product(*map(range, old.shape)) if reachable[p]]
    return all(np.sign(old[a] - old[b]) == np.sign(new[a] - new[b]) for a, b in product(places, places) if a[1] != b[1])


@given(data=st.data(), old=values)
def test_keeps_order_is_the_definition_pair_by_pair(data: st.DataObject, old: np.ndarray) -> None:
    new = data.draw(st.one_of(st.just(np.rint(old * 2).astype(np.int64)), arrays(np.int64, old.shape, elements=st.integers(-2, 2))))
    reachable = data.draw(arrays(np.bool_, old.shape))
    assume(reachable.any())
    assert keeps_order(old, new, reachable) == compares_alike(old, new, reachable)


@given(old=values, data=st.data())
def test_logits_keep_the_order_with_the_fewest_bits(old: np.ndarray, data: st.DataObject) -> None:
    reachable = data.draw(arrays(np.bool_, old.shape))
    assume(reachable.any())
    logits = integer_logits(old, reachable, "fc")
    assert compares_alike(old, logits.integers, reachable)
    assert logits.fraction is not None
    fewer = np.rint(np.ldexp(old.astype(np.float64), logits.fraction - 1)).astype(np.int64)
    if logits.fraction > -5:
        assert not compares_alike(old, fewer, reachable) or np.abs(old[reachable]).max() < 2.0**-logits.fraction
    ranks = integer_logits(old, reachable, "fc", widest=0)
    assert compares_alike(old, ranks.integers, reachable)
    assert ranks.fraction is None


def test_values_too_close_for_fixed_point_become_ranks() -> None:
    near = np.array([[1.0, np.nextafter(np.float32(1), np.float32(2))], [1e-9, 0.5]], np.float32)
    logits = integer_logits(near, np.ones((2, 2), bool), "fc")
    assert (logits.fraction, logits.integers.tolist()) == (None, [[2, 3], [0, 1]])
    assert WIDEST == 24


def test_infinite_logits_are_refused() -> None:
    with pytest.raises(LoweringError) as error:
        integer_logits(np.array([[np.inf, 0]], np.float32), np.ones((1, 2), bool), "fc")
    assert str(error.value) == "LoweringError: fc: logits that are not finite\n  allowed  finite logits for every input"
