"""What lies between two integer points: one function of an integer for each channel, and poolings and padding that commute with it.

A region is never matched against patterns; it is evaluated at every value its start can take, on one pixel of the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray

from arbonn.flows.lowering.network import Array, Network, run_node
from arbonn.flows.lowering.operators import SELECTS, SHAPE, SPATIAL
from arbonn.flows.lowering.window import Window
from arbonn.hw.datatypes import Integers

CHUNK = 1 << 20  # values evaluated at once: bounds memory whatever the number of levels


@dataclass(frozen=True, eq=False)
class Spatial:
    """A pooling by `window`, or a Pad by `value`, between tensors `source` and `target`.

    padding (top, left, bottom, right): of a Pad, its own; of a pooling, the border that Pads before it have put round its input.
    A Pad's value is the file's own, before the element-wise operators behind it.
    """

    node: str
    source: str
    target: str
    window: Window | None = None
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    value: float = 0.0


@dataclass(frozen=True, eq=False)
class Region:
    """The nodes from tensor `start` to tensor `end`. `orders` says where the elements of each tensor stand on the streams.

    shape     the stream's frame at the start.      after  the same at the end, without a border that padding added last.
    spatials  the poolings and borders on the way.
    """

    network: Network
    start: str
    end: str
    nodes: tuple[onnx.NodeProto, ...]
    shape: tuple[int, ...]
    after: tuple[int, ...]
    orders: Mapping[str, Integers]
    spatials: tuple[Spatial, ...] = ()
    constants: Mapping[tuple[str, int], Array] = field(default_factory=dict)

    def evaluate(self, values: Array, begin: str | None = None) -> NDArray[np.float32]:
        """Values (levels, channels) at `start`, or at tensor `begin`, to those at `end`, by the file's own operators."""
        return self.trace(values, (self.end,), begin)[0]

    def trace(self, values: Array, tensors: Sequence[str], begin: str | None = None) -> list[NDArray[np.float32]]:
        """The same for several tensors of the region."""
        rows = max(1, CHUNK // max(1, values.shape[1]))
        parts = [self._pixel(values[k : k + rows].astype(np.float32), tensors, begin) for k in range(0, len(values), rows)]
        return [np.concatenate(part).astype(np.float32) for part in zip(*parts, strict=True)]

    def _pixel(self, values: Array, tensors: Sequence[str], begin: str | None) -> list[Array]:
        """Runs the nodes on one pixel of each image."""
        first = begin or self.start
        known: dict[str, Array] = {first: self._placed(values, first)}
        for node in self.nodes:
            dynamic = self.network.dynamic(node)
            if any(i not in known for i in dynamic):
                continue  # stands before `begin`
            if node.op_type in (*SHAPE, *SPATIAL, *SELECTS):
                known[node.output[0]] = self._placed(self._channels(known[node.input[0]], node.input[0]), node.output[0])
            else:
                given = {name: known[name] if name in known else self._constant(node, k) for k, name in enumerate(node.input) if name}
                known.update(run_node(node, given, self.network.opset, self.network.ir_version))
        return [self._channels(known[name], name) for name in tensors]

    def _constant(self, node: onnx.NodeProto, position: int) -> Array:
        return self.constants.get((node.name, position), self.network.constants[node.input[position]])

    def _placed(self, values: Array, tensor: str) -> Array:
        """Values by the stream's channels as the tensor's one pixel."""
        channels = pixel(self.orders[tensor], values.shape[1])
        return values[:, channels.reshape(-1)].reshape(len(values), *channels.shape)

    def _channels(self, values: Array, tensor: str) -> Array:
        """The inverse."""
        count = int(np.prod(values.shape[1:]))
        result = np.empty((len(values), count), values.dtype)
        result[:, pixel(self.orders[tensor], count).reshape(-1)] = values.reshape(len(values), -1)
        return result


def picks_of(order: Integers, channels: int) -> list[Integers] | None:
    """For each axis the indices that hold the stream's first pixel; None where these are no box."""
    places = np.nonzero((order >= 0) & (order < channels))
    picks = [np.unique(axis) for axis in places]
    return picks if np.prod([len(p) for p in picks], dtype=int) == len(places[0]) == channels else None


def pixel(order: Integers, channels: int) -> Integers:
    """The stream's channels in the first pixel of a tensor, in the shape of that pixel."""
    picks = picks_of(order, channels)
    assert picks is not None
    return order[np.ix_(*picks)]
