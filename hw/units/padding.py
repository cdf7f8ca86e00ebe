"""Padding by a value, defined once for every unit that pads.

A BIPOLAR stream has no 0: padded by 0 it becomes TERNARY. Then an MVAU's dot product over it counts real pixels only, exactly as in a
network that pads its images with 0, at the price of a second bit plane.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from amaranth.hdl import Cat, Const, Value

from arbonn.hw.datatypes import DataType


def padding_problems(i: DataType, o: DataType, value: int, pads: bool) -> Iterator[str]:
    """What is not legal about types `i` and `o` of a unit that passes elements on and, if it `pads`, puts `value` beside them."""
    if o != i and (i.name, o.name) != ("BIPOLAR", "TERNARY"):
        yield f"i {i} and o {o} (the same type, or BIPOLAR to TERNARY)"
    elif pads and not o.allows(np.array(value)):
        yield f"padding by {value} in {o}" + (" (o may be TERNARY)" if o.name == "BIPOLAR" else "")


def widened(word: Value, i: DataType, o: DataType) -> Value:
    """A transfer's elements stored as `i` stores them to what `o` does."""
    return word if i == o else Cat(*(Cat(Const(1, 1), ~word[k]) for k in range(len(word))))


def padded_word(value: int, lanes: int, o: DataType) -> Value:
    """A transfer of padded elements."""
    code = int(o.encode(np.array(value)))
    return Const(sum(code << (k * o.bits) for k in range(lanes)), lanes * o.bits)
