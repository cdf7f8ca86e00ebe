"""Weights of two values as lists of connections: the columns of a row's rarer value (SBNN, ECML PKDD 2023, arXiv 2306.13515).

w . x = (rare - common) * sum of x over the row's connections + common * sum of all x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import NamedTuple

import numpy as np

from arbonn.hw.datatypes import DataType, Integers


class Affine(NamedTuple):
    """acc = factor * y + shifts, shifts (MH,), y = one * sum of connected codes + every * sum of all codes; a BIPOLAR's code is its bit."""

    one: int
    every: int
    factor: int
    shifts: Integers


@dataclass(frozen=True, eq=False)
class Connections:
    """The connections of weights (MH, MW) of at most two values."""

    weights: Integers

    @cached_property
    def two_values(self) -> tuple[int, int]:
        """(rare, common): of equal counts, the one that is not 0 is the rare one."""
        values, counts = np.unique(self.weights, return_counts=True)
        common, *others = sorted((int(v) for v in values), key=lambda v: (-int(counts[values == v][0]), v != 0))
        return (others[0] if others else common), common

    @cached_property
    def connected(self) -> Integers:
        """(MH, MW): 1 where a row has a connection."""
        rare, common = self.two_values
        return (self.weights == rare).astype(np.int64) if rare != common else np.zeros_like(self.weights)

    @property
    def count(self) -> int:
        """Of all rows."""
        return int(self.connected.sum())

    @property
    def fullest(self) -> int:
        """Most connections of a row."""
        return int(self.connected.sum(axis=1).max())

    def affine(self, dtype: DataType, from_dot: Callable[[Integers, DataType], Integers]) -> Affine:
        """Accumulators from sums of codes of `dtype`; `from_dot`: from dot products."""
        rare, common = self.two_values
        bipolar = dtype.name == "BIPOLAR"
        scale = 2 if bipolar else 1
        one, every = (rare - common) * scale, common * scale
        step = gcd(one, every) or 1
        dots = (
            -(rare - common) * self.connected.sum(axis=1) - common * self.weights.shape[1] if bipolar else np.zeros(len(self.weights), int)
        )
        # acc is affine in the dot: of two dots, `step` apart, the accumulators are f apart.
        low = from_dot(dots, dtype)
        return Affine(one // step, every // step, int((from_dot(dots + step, dtype) - low)[0]), low)

    def sums_range(self, affine: Affine, dtype: DataType) -> tuple[int, int]:
        """Range of y and of all that is added up to it."""
        least, most = (0, 1) if dtype.name == "BIPOLAR" else (dtype.low, dtype.high)
        every = self.weights.shape[1]
        ends = [[c * n * x for x in (min(0, least), max(0, most))] for c, n in ((affine.one, self.fullest), (affine.every, every))]
        return sum(min(e) for e in ends), sum(max(e) for e in ends)

    def places(self, lanes: int, steps: int, bits: tuple[int, int, int]) -> Integers:
        """(MH, steps): of each connection its word, its lane and that it is one, in so many bits, the first lowest; 0 behind the last."""
        word_bits, lane_bits, flag = bits
        codes = np.zeros((len(self.weights), steps), dtype=np.int64)
        for row, connected in enumerate(self.connected):
            columns = np.flatnonzero(connected)
            code = columns // lanes | (columns % lanes) << word_bits
            codes[row, : len(columns)] = code | flag << (word_bits + lane_bits)
        return codes
