"""Integer types of stream elements, by QONNX's names, and how their values are stored as bits.

BIPOLAR  {-1, +1}, stored as (x + 1) / 2.    BINARY  {0, 1}.    TERNARY  {-1, 0, +1}, two's complement.
UINTn    [0, 2^n - 1].    INTn  [-2^(n-1), 2^(n-1) - 1], two's complement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arbonn.errors import GraphError

MAX_BITS = 48  # sums of such values still fit int64 in every unit

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class DataType:
    """One element type: `bits` wide, values `low` .. `high` (BIPOLAR leaves out 0)."""

    name: str
    bits: int
    low: int
    high: int

    @property
    def signed(self) -> bool:
        """True when the stored bits are two's complement (BIPOLAR's are not)."""
        return self.low < 0 and self.name != "BIPOLAR"

    def allows(self, values: NDArray[Any]) -> bool:
        """True when every value is one of this type."""
        array = np.asarray(values)
        if array.size == 0:
            return True
        inside = bool(array.min() >= self.low and array.max() <= self.high)
        return inside and (self.name != "BIPOLAR" or not bool((array == 0).any()))

    def encode(self, values: NDArray[Any]) -> Integers:
        """Values to stored bits, as non-negative integers below 2^bits."""
        array = np.asarray(values, dtype=np.int64)
        return (array + 1) // 2 if self.name == "BIPOLAR" else array & ((1 << self.bits) - 1)

    def decode(self, codes: NDArray[Any]) -> Integers:
        """Stored bits back to values; the inverse of `encode`."""
        array = np.asarray(codes, dtype=np.int64)
        if self.name == "BIPOLAR":
            return 2 * array - 1
        if not self.signed:
            return array
        half = 1 << (self.bits - 1)
        return (array ^ half) - half

    def every(self) -> Integers:
        """All values, rising."""
        return np.array([-1, 1]) if self.name == "BIPOLAR" else np.arange(self.low, self.high + 1)

    def __str__(self) -> str:
        return self.name


@cache
def datatype(name: str) -> DataType:
    """The type called `name`. Raises GraphError for any other name."""
    fixed = {"BIPOLAR": (1, -1, 1), "BINARY": (1, 0, 1), "TERNARY": (2, -1, 1)}
    if name in fixed:
        return DataType(name, *fixed[name])
    match = re.fullmatch(r"(U?)INT([1-9]\d?)", name)
    if match and int(match[2]) <= MAX_BITS:
        bits = int(match[2])
        low, high = (0, (1 << bits) - 1) if match[1] else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
        return DataType(name, bits, low, high)
    raise GraphError(f"type {name!r}", found="no such type", allowed=f"BIPOLAR, BINARY, TERNARY, UINT1..{MAX_BITS}, INT1..{MAX_BITS}")


def smallest(low: int, high: int) -> DataType:
    """The narrowest UINTn or INTn that holds `low` .. `high`; BINARY for {0, 1}."""
    if low >= 0:
        return datatype("BINARY" if high <= 1 else f"UINT{high.bit_length()}")
    return datatype(f"INT{max((-low - 1).bit_length(), max(high, 0).bit_length()) + 1}")
