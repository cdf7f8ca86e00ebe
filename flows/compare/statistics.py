"""Paired comparisons: interval, p, the family's correction, and the smallest effect that a run of this size could have seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

LEVEL, POWER = 0.05, 0.8
FLOOR = 1e-8  # of shares before their logarithm


@dataclass(frozen=True)
class Paired:
    """Of n differences: their mean and deviation, the 95 % interval of the mean, and p by Student's t and by Wilcoxon's signed ranks."""

    n: int
    mean: float
    deviation: float
    low: float
    high: float
    p: float
    p_wilcoxon: float


def paired(differences: Sequence[float]) -> Paired:
    """Two-sided tests that the mean difference is 0. Fewer than two pairs have no deviation: their interval is the whole line."""
    values = np.asarray(differences, np.float64)
    n, mean = len(values), float(values.mean())
    if n < 2:
        return Paired(n, mean, math.nan, -math.inf, math.inf, 1.0, 1.0)
    deviation = float(values.std(ddof=1))
    if deviation <= 1e-12 * max(1.0, abs(mean)):  # all alike: t is no number there, the sign test still is one
        p = 1.0 if abs(mean) <= 1e-12 else 2 * 0.5**n
        return Paired(n, mean, 0.0, mean, mean, p, p)
    half = float(stats.t.ppf(1 - LEVEL / 2, n - 1)) * deviation / math.sqrt(n)
    p = float(stats.ttest_1samp(values, 0.0).pvalue)
    exact = "exact" if n <= 50 and len(set(np.abs(values))) == n and (values != 0).all() else "approx"
    return Paired(n, mean, deviation, mean - half, mean + half, p, float(stats.wilcoxon(values, method=exact).pvalue))


def equivalence(found: Paired, within: float) -> float:
    """p of two one-sided t tests that the mean difference lies inside (-within, within) (Schuirmann 1987)."""
    if found.n < 2:
        return 1.0
    if found.deviation == 0:
        return 0.5**found.n if abs(found.mean) < within else 1.0
    error = found.deviation / math.sqrt(found.n)
    above = stats.t.sf((found.mean + within) / error, found.n - 1)
    below = stats.t.cdf((found.mean - within) / error, found.n - 1)
    return float(max(above, below))


def holm(ps: Sequence[float]) -> list[float]:
    """p of each comparison, corrected for their number (Holm 1979): p below the level means that all smaller ones hold too."""
    corrected, largest = [1.0] * len(ps), 0.0
    for place, number in enumerate(sorted(range(len(ps)), key=lambda k: ps[k])):
        largest = max(largest, min(1.0, (len(ps) - place) * ps[number]))
        corrected[number] = largest
    return corrected


def smallest_effect(deviation: float, n: int, family: int) -> float:
    """The mean difference that a two-sided paired t test of n pairs finds with 80 % power, at the strictest level of Holm's steps."""
    if n < 2 or math.isnan(deviation):
        return math.inf
    edge = float(stats.t.ppf(1 - LEVEL / family / 2, n - 1))
    # Over the deviation of the sample, at its quantiles: scipy's noncentral t is no number for two or three pairs.
    deviations = np.sqrt(stats.chi2.ppf((np.arange(2000) + 0.5) / 2000, n - 1) / (n - 1))

    def lacking(shift: float) -> float:
        return float((stats.norm.cdf(shift - edge * deviations) + stats.norm.cdf(-shift - edge * deviations)).mean()) - POWER

    return float(optimize.brentq(lacking, 0.0, 2 * edge + 5)) * deviation / math.sqrt(n)
