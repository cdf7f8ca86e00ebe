"""Float values back to the integers they stand for: value = base + step * n, whatever operators made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arbonn.hw.datatypes import DataType, Integers, datatype, smallest

LARGEST = 1 << 15  # integers beyond are no activations or weights of few bits
FINEST = 256  # the smallest value may be this many steps: {3, 5} has step 1
RELATIVE = 2.0**-20  # of the largest integer: some float32 roundings, far below half a step


@dataclass(frozen=True, eq=False)
class Grid:
    """`integers` of the array's shape with |array - (base + step * integers)| <= deviation."""

    integers: Integers
    step: float
    base: float
    deviation: float

    @property
    def dtype(self) -> DataType:
        """The narrowest type of the integers; BIPOLAR where 0 is none of them and -1 is."""
        low, high = int(self.integers.min()), int(self.integers.max())
        return datatype("BIPOLAR") if low == -1 and high <= 1 and not (self.integers == 0).any() else smallest(low, high)


def on_grid(values: NDArray[Any], *, based: bool = True) -> Grid | None:
    """The coarsest grid that holds all values, through 0 if there is one, else (`based`) through the least value; None if there is none."""
    array = np.asarray(values, dtype=np.float64)
    distinct, inverse = np.unique(array, return_inverse=True)
    if not np.isfinite(distinct).all() or len(distinct) > 2 * LARGEST:
        return None
    for base in (0.0, float(distinct[0])) if based else (0.0,):
        integers = _multiples(distinct - base)
        if integers is not None:
            far = int(np.argmax(np.abs(integers)))
            step = float((distinct[far] - base) / integers[far]) if integers[far] else 1.0
            deviation = float(np.abs(distinct - (base + step * integers)).max())
            return Grid(integers[inverse].reshape(array.shape), step, base, deviation)
    return None


def _multiples(values: NDArray[np.float64]) -> Integers | None:
    """The smallest integers in the same proportion, sign kept."""
    magnitudes = np.abs(values)
    if not magnitudes.any():
        return np.zeros(len(values), np.int64)
    least, most = magnitudes[magnitudes > 0].min(), magnitudes.max()
    for parts in range(1, min(FINEST, int(LARGEST * least / most)) + 1):
        exact = values * (parts / least)
        rounded = np.rint(exact)
        if np.abs(exact - rounded).max() <= RELATIVE * np.abs(rounded).max():
            return rounded.astype(np.int64)
    return None


def affine(values: NDArray[Any], codes: Integers, reached: NDArray[np.bool_] | None = None) -> tuple[float, float, float] | None:
    """(step, base, deviation) with values[l, c] = base + step * codes[l] for every channel c, or None; the step may be negative.

    `reached` (levels, channels): where that has to hold; everywhere unless given.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(codes) < 2 or not np.isfinite(array).all():
        return None
    counted = np.ones(array.shape, np.bool_) if reached is None else reached
    channel = int(np.argmax(counted.sum(axis=0)))
    mine = np.flatnonzero(counted[:, channel])
    first, last = mine[0], mine[-1]
    if first == last:
        return None
    step = float((array[last, channel] - array[first, channel]) / (codes[last] - codes[first]))
    base = float(array[first, channel] - step * codes[first])
    if abs(base) <= RELATIVE * abs(step):
        base = 0.0
    deviation = float(np.abs(array - (base + step * codes[:, None]))[counted].max())
    return (step, base, deviation) if step != 0 and deviation <= RELATIVE * np.abs(array[counted]).max() else None


def common_grids(parts: Sequence[NDArray[Any]]) -> list[Grid] | None:
    """Grids of one step, with a base each, that hold the values of each part; through 0 where all can be; None if there are none."""
    arrays = [np.asarray(part, dtype=np.float64) for part in parts]
    if not all(np.isfinite(array).all() for array in arrays):
        return None
    for bases in ([0.0] * len(arrays), [float(array.min()) for array in arrays]):
        moved = [array - base for array, base in zip(arrays, bases, strict=True)]
        distinct = np.unique(np.concatenate([np.unique(array) for array in moved]))
        integers = _multiples(distinct) if len(distinct) <= 2 * LARGEST else None
        if integers is not None:
            far = int(np.argmax(np.abs(integers)))
            step = float(distinct[far] / integers[far]) if integers[far] else 1.0
            rounded = [np.rint(array / step).astype(np.int64) for array in moved]
            off = [float(np.abs(array - step * n).max()) for array, n in zip(moved, rounded, strict=True)]
            return [Grid(n, step, base, deviation) for n, base, deviation in zip(rounded, bases, off, strict=True)]
    return None
