"""Thresholds to output levels, defined once for every unit that thresholds: y = offset + sum_i [acc >= t_i].

For a BIPOLAR output the count, 0 or 1, is the stored bit. Ties: acc equal to a threshold counts as reached.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from amaranth.hdl import Const, Shape, Value

from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.datatypes import DataType, Integers, smallest
from arbonn.hw.parameters import Table
from arbonn.hw.rom import pack_words


def levels(acc: Integers, thresholds: Integers, offset: int, dtype: DataType) -> Integers:
    """Output values for acc (..., C) with thresholds (C, T)."""
    count = (acc[..., None] >= thresholds).sum(axis=-1)
    return dtype.decode(count) if dtype.name == "BIPOLAR" else offset + count


def level_problems(thresholds: Integers, channels: int, offset: int, dtype: DataType) -> Iterator[str]:
    """What is not legal about thresholds for an output type."""
    if thresholds.ndim != 2 or len(thresholds) != channels or thresholds.shape[1] < 1:
        yield f"thresholds of shape {thresholds.shape} for {channels} channels"
    elif (np.diff(thresholds, axis=1) < 0).any():
        yield "thresholds that fall along a row"
    elif dtype.name == "BIPOLAR":
        if thresholds.shape[1] != 1 or offset != 0:
            yield f"{thresholds.shape[1]} thresholds and offset {offset} for a BIPOLAR output (1 and 0 allowed)"
    elif not (dtype.low <= offset and offset + thresholds.shape[1] <= dtype.high):
        yield f"levels {offset} .. {offset + thresholds.shape[1]} in {dtype}"


def count_reached(acc: Value, thresholds: list[Value], offset: int, dtype: DataType) -> Value:
    """The same in hardware: the stored bits of the output level."""
    count: Value = sum((acc >= t for t in thresholds[1:]), acc >= thresholds[0])
    return count if dtype.name == "BIPOLAR" or offset == 0 else count + Const(offset)


def threshold_parts(thresholds: Integers, lanes: int, bits: int, writable: bool) -> Parts:
    """Parts of `count_reached` on so many lanes and bits; for thresholds that are the same in all folds, of comparisons with constants.

    One bit that decides is the result: a comparison of more takes logic for each bit beyond it.
    """
    count = thresholds.shape[1]
    compared = (
        {"threshold": lanes * count * bits}
        if writable or varies(thresholds, lanes)
        else {"fixed threshold": sum(compared_bits(int(t), bits) - 1 for t in thresholds[:lanes].flat)}
    )
    return amounts(0, level=lanes * (count - 1) * count.bit_length()) + Parts({name: float(n) for name, n in compared.items()})


def varies(thresholds: Integers, lanes: int) -> bool:
    """Whether the folds of a unit of so many lanes have different thresholds."""
    return bool((thresholds.reshape(-1, lanes, thresholds.shape[1]) != thresholds[:lanes]).any())


def compared_bits(threshold: int, bits: int) -> int:
    """Upper bits of a value of so many that decide whether it reaches a constant: those below its lowest one do not."""
    return max(1, bits - ((threshold & -threshold).bit_length() - 1)) if threshold else 1


def amaranth_shape(low: int, high: int) -> Shape:
    """The narrowest shape that holds low .. high."""
    return Shape(smallest(low, high).bits, signed=low < 0)


def threshold_table(folds: int, lanes: int, count: int, limits: tuple[int, int]) -> Table:
    """Size of the table of thresholds within `limits`: a word for each fold."""
    return Table(folds, lanes * count * amaranth_shape(*limits).width)


def threshold_words(thresholds: Integers, folds: int, limits: tuple[int, int]) -> list[int]:
    """The table of thresholds (C, T), clipped to `limits`, which changes no comparison of an acc in low .. high - 1."""
    bits = amaranth_shape(*limits).width
    return pack_words(np.clip(thresholds, *limits).reshape(folds, -1) & ((1 << bits) - 1), bits)


def threshold_values(word: Value, lanes: int, limits: tuple[int, int]) -> list[list[Value]]:
    """The T thresholds of each lane in a word of that table."""
    shape = amaranth_shape(*limits)
    slots = [word[at : at + shape.width] for at in range(0, len(word), shape.width)]
    values = [slot.as_signed() if shape.signed else slot for slot in slots]
    count = len(values) // lanes
    return [values[lane * count : (lane + 1) * count] for lane in range(lanes)]
