"""Paired statistics against their definitions, known values, and simulation."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbonn.flows.compare.statistics import equivalence, holm, paired, smallest_effect

numbers = st.lists(st.floats(-10, 10).map(lambda x: round(x, 3)), min_size=2, max_size=12)


def test_a_worked_example():
    """Student's own: extra sleep of ten patients (Biometrika 1908); R gives t = 4.0621, p = 0.002833, interval 0.70 to 2.46."""
    found = paired([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
    assert (found.n, found.mean, found.p) == (10, pytest.approx(1.58), pytest.approx(0.002833, abs=1e-6))
    assert (found.low, found.high) == (pytest.approx(0.7001142, abs=1e-6), pytest.approx(2.4598858, abs=1e-6))
    assert found.p_wilcoxon < 0.02


@given(numbers)
def test_the_interval_holds_zero_exactly_where_p_is_above_the_level(values):
    found = paired(values)
    if found.deviation > 0:
        assert (found.low <= 0 <= found.high) == (found.p >= 0.05) or found.p == pytest.approx(0.05, abs=1e-9)
    mirrored = paired([-value for value in values])
    assert (mirrored.p, mirrored.mean) == (pytest.approx(found.p), pytest.approx(-found.mean))


def test_differences_that_are_all_alike_are_judged_by_their_sign():
    assert paired([0.5] * 8).p == 2 * 0.5**8
    assert paired([0.0] * 8).p == 1.0
    assert (paired([0.5]).p, paired([0.5]).low) == (1.0, -math.inf)


def test_holm_on_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_lies_between_raw_and_bonferroni(ps):
    corrected = holm(ps)
    for p, q in zip(ps, corrected, strict=True):
        assert p <= q <= min(1.0, len(ps) * p) + 1e-12 or q == max(corrected[k] for k in range(len(ps)) if ps[k] <= p)
    order = np.argsort(ps, kind="stable")
    assert all(corrected[a] <= corrected[b] for a, b in pairwise(order))


@pytest.mark.parametrize("n", [2, 3, 8, 10])
@pytest.mark.parametrize("family", [1, 5])
def test_four_of_five_runs_see_the_smallest_effect(n, family):
    effect = smallest_effect(2.0, n, family)
    draws = np.random.default_rng(0).normal(effect, 2.0, (4000, n))
    from scipy import stats

    seen = stats.ttest_1samp(draws, 0.0, axis=1).pvalue < 0.05 / family
    assert seen.mean() == pytest.approx(0.8, abs=0.03)


def test_equal_means_that_a_larger_difference_is_ruled_out():
    values = [0.001, -0.002, 0.0015, -0.0005, 0.001, -0.001, 0.0, 0.0005]
    assert equivalence(paired(values), 0.01) < 1e-4
    assert equivalence(paired(values), 0.0005) > 0.05
    assert equivalence(paired([value + 0.02 for value in values]), 0.01) > 0.99
    assert equivalence(paired([0.0] * 8), 0.01) == 0.5**8
    assert equivalence(paired([0.0]), 0.01) == 1.0
