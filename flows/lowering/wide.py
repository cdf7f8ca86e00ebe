"""Accumulators of many levels: only where the function steps is kept, never a table of every level.

8-bit images against a wide first layer have some 10^5 accumulators a row. All of them are still evaluated, in chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from arbonn.errors import LoweringError
from arbonn.flows.lowering.grid import Grid, on_grid
from arbonn.flows.lowering.region import CHUNK, Region
from arbonn.hw.datatypes import Integers

MOST_STEPS = 1 << 20  # changes of value in all channels: beyond, nothing is quantized
MOST_THRESHOLDS = 255


@dataclass(frozen=True, eq=False)
class Steps:
    """A function of levels low .. high for each channel: `first` at low, `values[k]` from `levels[k]` on in `channels[k]`.

    Levels rise with k.
    """

    low: int
    high: int
    first: NDArray[np.float32]
    channels: Integers
    levels: Integers
    values: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Thresholds (C, T) of the rows, in the accumulators of negated weights where `falls`, the grid of the values, `extra` integers."""

    thresholds: Integers
    falls: NDArray[np.bool_]
    offset: int
    grid: Grid
    extra: tuple[int, ...]


def evaluate_steps(region: Region, start: Callable[[Integers], NDArray[np.float32]], low: int, high: int, where: str) -> Steps:
    """The steps of a region; `start` gives the values (levels, channels) at its beginning."""
    first = region.evaluate(start(np.array([low])))
    size = max(1, CHUNK // first.shape[1])
    before, found, count = first, list[tuple[Integers, Integers, NDArray[np.float32]]](), 0
    for begin in range(low, high + 1, size):
        values = np.concatenate([before, region.evaluate(start(np.arange(begin, min(begin + size, high + 1))))])
        level, channel = np.nonzero(values[1:] != values[:-1])
        found.append((channel, begin + level, values[level + 1, channel]))
        before, count = values[-1:], count + len(level)
        if count > MOST_STEPS:
            raise LoweringError(
                where,
                found=f"more than {MOST_STEPS} steps over {high - low + 1} accumulators",
                allowed="a quantized output where accumulators are that many",
                fix="put a quantizer with one scale behind it, or quantize the layer's input to fewer bits",
            )
    channels, levels, values = (np.concatenate(part) for part in zip(*found, strict=True))
    return Steps(low, high, first[0], channels, levels, values)


def thresholds_of(steps: Steps, totals: int, where: str, extra: Sequence[float] = ()) -> Thresholds | None:
    """Thresholds of rows that rise or fall; None where the values, and `extra` ones, are on no grid.

    acc' = totals - acc for negated weights.
    """
    whole = on_grid(np.concatenate([steps.first, steps.values, np.array(extra, np.float32)]))
    if whole is None:
        return None
    count = len(steps.first) + len(steps.values)
    grid, others = replace(whole, integers=whole.integers[:count]), tuple(int(n) for n in whole.integers[count:])
    bipolar = grid.dtype.name == "BIPOLAR"
    offset = 0 if bipolar else int(grid.integers.min())
    counts = grid.dtype.encode(grid.integers) if bipolar else grid.integers - offset
    channels, most = len(steps.first), max(1, int(counts.max()))
    thresholds, falls = np.empty((channels, most), np.int64), np.zeros(channels, bool)
    wanted = np.arange(1, most + 1)
    for channel in range(channels):
        mine = np.flatnonzero(steps.channels == channel)
        row = np.concatenate([counts[channel : channel + 1], counts[channels + mine]])
        # The level from which each count holds, and one that is never reached.
        begins = np.concatenate([[steps.low], steps.levels[mine], [steps.high + 1]])
        if (row[1:] >= row[:-1]).all():
            thresholds[channel] = begins[np.searchsorted(row, wanted)]
        elif (row[1:] <= row[:-1]).all():
            falls[channel] = True  # count >= s up to the last level before it drops below: from totals - that level on, mirrored
            thresholds[channel] = totals - (begins[np.searchsorted(-row, -wanted, side="right")] - 1)
        else:
            found = f"channel {channel} neither rises nor falls over {steps.high - steps.low + 1} accumulators"
            raise LoweringError(where, found=found, allowed="rising or falling functions where accumulators are that many")
    if most > MOST_THRESHOLDS:
        raise LoweringError(where, found=f"{most} steps in a row", allowed=f"at most {MOST_THRESHOLDS} where accumulators are many")
    return Thresholds(thresholds, falls, offset, grid, others)
