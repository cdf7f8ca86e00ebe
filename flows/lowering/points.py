"""What the integers of a lowered network mean to its file: integer points between units, and the linear operators that start from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arbonn.flows.lowering.layout import to_stream
from arbonn.flows.lowering.linear import Linear
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Endpoint

NOWHERE = Endpoint("", "")


@dataclass(frozen=True, eq=False)
class Point:
    """An integer point: the file's `tensor` equals base + step * n, but for `deviation`, where n are the integers on a stream.

    order  where the tensor's elements stand on the stream.    edge  what a border that a Pad has put round the tensor holds.
    at     a port on the stream, of a unit that no pass replaces.
    """

    tensor: str
    step: float
    base: float
    deviation: float
    order: Integers
    edge: int = 0
    at: Endpoint = NOWHERE

    def integers(self, values: NDArray[np.floating]) -> Integers:
        """The integers of the file's values."""
        return np.rint((values.astype(np.float64) - self.base) / self.step).astype(np.int64)

    @property
    def zero(self) -> int:
        """The integer of the file's 0, by which convolutions pad."""
        return round(-self.base / self.step)

    def on_stream(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The tensor's values (n, ...) in the stream's order, (n, elements), without its border."""
        return to_stream(values, self.order)


@dataclass(frozen=True, eq=False)
class Layer:
    """One linear operator in integers: y = scale * (step * (weights @ n) + base * sum(weights)) + bias; `output` is the file's y.

    unit  the node that accumulates.
    """

    unit: str
    linear: Linear
    weights: Integers
    scale: NDArray[np.float64]
    source: Point
    output: str

    def dot(self, codes: Integers) -> NDArray[np.float64]:
        """Integer dot products (n, *after) of integers (n, ...) in the stream's order; exact, since they are far below 2^53."""
        return self.linear.dot(codes.astype(np.float64), self.weights.astype(np.float64), self.source.zero, self.source.edge)

    def exact(self, dot: NDArray[np.integer] | NDArray[np.float64]) -> NDArray[np.float64]:
        """The linear operator's real result for integer dot products (..., MH), in float64."""
        point = self.source
        return self.scale * (point.step * dot + point.base * self.weights.sum(axis=1)) + self.linear.bias
