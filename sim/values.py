"""What a stream carries in the fast reference: integers or bit planes (`arbonn.sim.bits`), each made from the other when asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from arbonn.hw.datatypes import DataType, Integers
from arbonn.hw.graph import Stream
from arbonn.sim import bits
from arbonn.sim.bits import WORD, Words


class Values:
    """Integers (rows, channels) or bit planes (rows, bits, words); rows are all positions of all frames."""

    def __init__(self, stream: Stream, integers: NDArray[np.integer] | None = None, planes: Words | None = None) -> None:
        self.stream, self._integers, self._planes = stream, integers, planes
        self.channels = stream.shape[-1]
        self.rows = len(integers if integers is not None else planes if planes is not None else ())

    @property
    def packed(self) -> bool:
        """Whether there are bit planes already."""
        return self._planes is not None

    def integers(self) -> NDArray[np.integer]:
        """int64; or, of an input and what was moved from it, the caller's own octets."""
        if self._integers is None:
            assert self._planes is not None
            made = np.empty((self.rows, self.channels), np.int64)
            coefficients, zero = weights_of_bits(self.stream.dtype)
            bits.unpack_values(self._planes, coefficients, zero, made)
            self._integers = made
        return self._integers

    def planes(self) -> Words:
        if self._planes is None:
            assert self._integers is not None
            self._planes = empty_planes(self.rows, self.stream)
            bits.pack_values(self._integers, self.stream.dtype.name == "BIPOLAR", self._planes)
        return self._planes

    def frames(self) -> Integers:
        """int64 (frames, *shape), as the plain reference gives."""
        return self.integers().astype(np.int64, copy=False).reshape(-1, *self.stream.shape)

    def passed_on(self, stream: Stream) -> Values:
        """The same on another stream that differs in lanes only."""
        return Values(stream, self._integers, self._planes)

    def widened(self, dtype: DataType) -> Words:
        """Bit planes as `dtype` stores the values: the stream's own type, or TERNARY for a BIPOLAR stream."""
        planes = self.planes()
        if dtype == self.stream.dtype:
            return planes
        assert (self.stream.dtype.name, dtype.name) == ("BIPOLAR", "TERNARY")
        real = pixel_planes(1, self.channels, dtype)[0]  # 1 is stored 01, -1 is stored 11
        return np.concatenate([np.broadcast_to(real, planes.shape), ~planes & real], axis=1)


def weights_of_bits(dtype: DataType) -> tuple[Integers, int]:
    """What each stored bit adds to a value, and the value of all bits clear."""
    if dtype.name == "BIPOLAR":
        return np.array([2]), -1
    coefficients = 1 << np.arange(dtype.bits)
    if dtype.signed:
        coefficients[-1] *= -1
    return coefficients, 0


def empty_planes(rows: int, stream: Stream) -> Words:
    return np.empty((rows, stream.dtype.bits, -(-stream.shape[-1] // WORD)), np.uint64)


def pixel_planes(value: int, channels: int, dtype: DataType) -> Words:
    """The planes (bits, words) of a pixel whose channels all hold `value`."""
    made = np.zeros((1, dtype.bits, -(-channels // WORD)), np.uint64)
    bits.pack_values(np.full((1, channels), value), dtype.name == "BIPOLAR", made)
    return made[0]


def flat(values: NDArray[np.integer], stream: Stream) -> NDArray[np.integer]:
    """Rows of channels, in one of the two element types that the loops are compiled for: a third would be a third of their compile time."""
    kept = values.dtype in (np.uint8, np.int64)
    return np.ascontiguousarray(values if kept else values.astype(np.int64)).reshape(-1, stream.shape[-1])
