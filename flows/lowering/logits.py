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
EXACT = "arbonn.logits", "integers"  # the entry of a file's metadata that asks for `exact`


@dataclass(frozen=True, eq=False)
class Logits:
    """Integers for values (levels, classes), and what they mean: float = integer * 2^-`fraction`, or only their order (None)."""

    integers: Integers
    fraction: int | None


def integer_logits(
    values: NDArray[np.float32], reachable: NDArray[np.bool_], where: str, widest: int = WIDEST, *, exact: bool = False
) -> Logits:
    """Fixed point with the fewest fraction bits that keep the order of every reachable pair; ranks where `widest` bits do not.

    exact  integers stay what they are, also where fewer bits would do: the file says that these are a lowered network's.
    """
    seen = values[reachable].astype(np.float64)
    if not np.isfinite(seen).all():
        raise LoweringError(where, found="logits that are not finite", allowed="finite logits for every input")
    held = np.where(np.isfinite(values), values, seen[0]).astype(np.float64).clip(seen.min(), seen.max())  # what is never reached
    largest = float(np.abs(seen).max())
    whole = int(np.floor(np.log2(largest))) + 1 if largest else 1  # |value| < 2^whole
    if exact and whole <= widest and np.array_equal(np.rint(seen), seen):
        return Logits(np.rint(held).astype(np.int64), 0)
    for fraction in range(-whole, widest - whole):
        integers = np.rint(np.ldexp(held, fraction)).astype(np.int64)
        if keeps_order(values, integers, reachable):
            return Logits(integers, fraction)
    return Logits(np.searchsorted(np.unique(seen), held).astype(np.int64), None)


def keeps_order(values: NDArray[np.float32], integers: Integers, reachable: NDArray[np.bool_]) -> bool:
    """True when integers (levels, classes) compare as values do, for every reachable pair of different classes."""
    classes = np.broadcast_to(np.arange(values.shape[1]), values.shape)[reachable]
    order = np.argsort(values[reachable], kind="stable")
    old, new, classes = values[reachable][order], integers[reachable][order], classes[order]
    lowest, highest = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    for each in np.unique(classes):
        mine = classes == each
        others, theirs = old[~mine], new[~mine]
        # Entry k: the greatest integer among the k least of the others, and the least integer among all but those.
        below = np.concatenate([[lowest], np.maximum.accumulate(theirs)])
        above = np.concatenate([np.minimum.accumulate(theirs[::-1])[::-1], [highest]])
        less, not_more = (np.searchsorted(others, old[mine], side=side) for side in ("left", "right"))
        own = new[mine]
        if (below[less] >= own).any() or (above[less] < own).any() or (below[not_more] > own).any() or (above[not_more] <= own).any():
            return False
    return True
