"""Integer logits that keep the order of the float ones: what is greater stays greater, what is equal stays equal.

Only pairs of different classes matter: an argmax never compares a class with itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arbonn.errors import LoweringError
from arbonn.hw.datatypes import Integers

WIDEST = 24  # bits of a logit in fixed point


@dataclass(frozen=True, eq=False)
class Logits:
    """Integers for values (levels, classes), and what they mean: float = integer * 2^-`fraction`, or only their order (None)."""

    integers: Integers
    fraction: int | None


def integer_logits(values: NDArray[np.float32], reachable: NDArray[np.bool_], where: str, widest: int = WIDEST) -> Logits:
    """Fixed point with the fewest fraction bits that keep the order of every reachable pair; ranks where `widest` bits do not."""
    seen = values[reachable].astype(np.float64)
    if not np.isfinite(seen).all():
        raise LoweringError(where, found="logits that are not finite", allowed="finite logits for every input")
    held = np.where(reachable, values, seen[0]).astype(np.float64)  # what is never reached must not overflow
    largest = float(np.abs(seen).max())
    whole = int(np.floor(np.log2(largest))) + 1 if largest else 1  # |value| < 2^whole
    for fraction in range(-whole, widest - whole):
        integers = np.rint(np.ldexp(held, fraction)).astype(np.int64)
        if keeps_order(values, integers, reachable):
            return Logits(integers, fraction)
    return Logits(np.searchsorted(np.unique(seen), held).astype(np.int64), None)


def keeps_order(values: NDArray[np.float32], integers: Integers, reachable: NDArray[np.bool_]) -> bool:
    """True when integers (levels, classes) compare as values do, for every reachable pair of different classes."""
    classes = np.broadcast_to(np.arange(values.shape[1]), values.shape)[reachable]
    old, new = values[reachable], integers[reachable]
    order = np.lexsort((new, old))
    old, new, classes = old[order], new[order], classes[order]
    if (new[1:] < new[:-1]).any():
        return bool((classes == classes[0]).all())  # one class alone is compared with nothing
    # A run of equal integers must be one value, a run of equal values one integer, unless all of the run is of one class.
    return _runs_agree(new, old, classes) and _runs_agree(old, new, classes)


def _runs_agree(key: NDArray[np.generic], other: NDArray[np.generic], classes: Integers) -> bool:
    """In every run of equal `key`: one `other`, or one class."""
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    mixed = np.minimum.reduceat(classes, starts) != np.maximum.reduceat(classes, starts)
    differ = np.minimum.reduceat(other, starts) != np.maximum.reduceat(other, starts)
    return not bool((mixed & differ).any())
