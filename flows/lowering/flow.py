"""Integers on a stream that nothing takes yet, and which values of the file they stand for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arbonn.hw.datatypes import Integers

Values = Callable[[Integers], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Flow:
    """Integers on the stream number `end` of a chain: level l of channel c stands for values(l)[c] of the file's `tensor`.

    levels  every integer that occurs, rising.    low, high  (channels,) what each channel reaches of them.
    unit    the number of the node that accumulates, where its own thresholds could still give other integers; else None.
    """

    end: int
    tensor: str
    levels: Integers
    low: Integers
    high: Integers
    values: Values
    unit: int | None = None

    @property
    def channels(self) -> int:
        return len(self.low)

    @property
    def reached(self) -> NDArray[np.bool_]:
        """(levels, channels)."""
        return np.asarray((self.levels[:, None] >= self.low) & (self.levels[:, None] <= self.high))

    def of(self, channels: Integers, end: int) -> Flow:
        """Some of its channels, on another stream."""
        before = self.values
        return Flow(end, self.tensor, self.levels, self.low[channels], self.high[channels], lambda levels: before(levels)[:, channels])


def held(levels: Integers, reached: Integers) -> Integers:
    """For each level the index of the greatest of the rising `reached` that is not above it; of the first where all are."""
    return (np.searchsorted(reached, levels, side="right") - 1).clip(0, len(reached) - 1)


def table_values(levels: Integers, values: NDArray[np.float32]) -> Values:
    """Values by a table (levels, channels); a level that is none of `levels` has the value of the one below it."""
    return lambda wanted: values[held(wanted, levels)]


def line_values(step: float, base: float, low: Integers, high: Integers) -> Values:
    """Values base + step * level, in float32; beyond what a channel reaches that of its nearest level."""
    return lambda wanted: (base + step * wanted[:, None].clip(low, high).astype(np.float64)).astype(np.float32)


def sums(levels: list[Integers]) -> Integers:
    """Every sum of one of each."""
    total = levels[0]
    for other in levels[1:]:
        if len(total) * len(other) <= 1 << 22:
            total = np.unique(total[:, None] + other)
        else:
            total = np.arange(total[0] + other[0], total[-1] + other[-1] + 1)
    return total
