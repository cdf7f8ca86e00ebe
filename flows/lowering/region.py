"""What lies between two linear operators: one function of an integer for each channel, and poolings and padding that commute with it.

A region is never matched against patterns; it is evaluated at every value its start can take, on one pixel of the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import onnx
from numpy.typing import NDArray

from arbonn.flows.lowering.layout import as_image, image_order, padding_of
from arbonn.flows.lowering.network import Array, Network, run_node
from arbonn.flows.lowering.operators import ELEMENTWISE, QUANTIZERS, SHAPE, SPATIAL
from arbonn.flows.lowering.window import Window, window_of
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
            if node.op_type in (*SHAPE, *SPATIAL):
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


class RegionBuilder:
    """Follows the nodes of one region; `problems` collects what does not lower."""

    def __init__(self, network: Network, start: str, shape: tuple[int, ...], order: Integers) -> None:
        self.network, self.start, self.shape, self.after = network, start, shape, shape
        self.orders: dict[str, Integers] = {start: order}
        self.nodes: list[onnx.NodeProto] = []
        self.spatials: list[Spatial] = []
        self.constants: dict[tuple[str, int], Array] = {}

    def add(self, node: onnx.NodeProto) -> str:
        """Appends a node; says why it does not lower, if so."""
        self.nodes.append(node)
        if node.op_type in SHAPE:
            return self._shape(node)
        return self._spatial(node) if node.op_type in SPATIAL else self._elementwise(node)

    def restart(self, node: onnx.NodeProto, shape: tuple[int, ...], order: Integers) -> None:
        """Goes on behind a node that does not lower, to find what else does not."""
        self.after = shape
        self.orders = dict.fromkeys(self.orders, order) | dict.fromkeys(node.output, order)

    def finish(self, end: str) -> Region:
        """The region up to tensor `end`, with only the nodes that it needs."""
        needed, kept = {end}, []
        for node in reversed(self.nodes):
            if needed & set(node.output):
                needed.update(node.input)
                kept.append(node)
        spatials = tuple(s for s in self.spatials if s.source in needed)
        return Region(
            self.network, self.start, end, tuple(kept[::-1]), self.shape, self.after, self.orders, spatials, self.constants
        )  # fmt: skip

    def _shape(self, node: onnx.NodeProto) -> str:
        before, after = self.network.shapes[node.input[0]], self.network.shapes[node.output[0]]
        perm = next((list(a.ints) for a in node.attribute if a.name == "perm"), [0] if node.op_type != "Transpose" else [-1])
        if len(after) < 2 or after[0] != before[0] or perm[0] != 0:
            return f"turns shape {before} into {after}: the batch must stay the first axis"
        order = self.network.reshaped(node, self.orders[node.input[0]][None])[0]
        if picks_of(order, self.after[-1]) is None:
            return f"mixes the channels of shape {before} with its rows and columns"
        self.orders[node.output[0]] = order
        return ""

    def _spatial(self, node: onnx.NodeProto) -> str:
        source, order = node.input[0], self.orders[node.input[0]]
        axes = order.ndim - 1
        if node.op_type == "Pad":
            found = padding_of(self.network, node)
            if isinstance(found, str):
                return found
            pads, value = found
            if not any(chain(*pads)):
                self.orders[node.output[0]] = order
                return ""
            padded = np.pad(order, pads, constant_values=-1)
            before, image = as_image(order, self.after), as_image(padded, self.after)
            if before is None or image is None:
                return f"pads shape {self.network.shapes[source]}: only rows and columns of (batch, channels, ...) can be added"
            sides = tuple(now - was for now, was in zip(image.border, before.border, strict=True))
            self.spatials.append(Spatial(node.name, source, node.output[0], padding=(sides[0], sides[1], sides[2], sides[3]), value=value))
            self.orders[node.output[0]] = padded
            return ""
        image = as_image(order, self.after)
        if image is None:
            return f"works on shape {self.network.shapes[source]}: only (batch, channels, width) or (batch, channels, height, width) lowers"
        if len(node.output) > 1 and node.output[1]:
            return "gives the places of its maxima too"
        sizes = order.shape[1:]
        kernel = sizes if node.op_type == "GlobalMaxPool" else next(list(a.ints) for a in node.attribute if a.name == "kernel_shape")
        window = window_of(node, kernel, sizes, self.network.shapes[node.output[0]][2:])
        if isinstance(window, str):
            return window
        (h, w, channels), (top, left, bottom, right) = image.shape, image.border
        if window.empty((h + top + bottom, w + left + right)):
            return "has windows of nothing but padding"
        self.spatials.append(Spatial(node.name, source, node.output[0], window, image.border))
        self.after = (*window.output((h + top + bottom, w + left + right)), channels)
        self.orders[node.output[0]] = image_order(self.after, image.channels, axes)
        return ""

    def _elementwise(self, node: onnx.NodeProto) -> str:
        network, dynamic = self.network, self.network.dynamic(node)
        shape = network.shapes[node.output[0]]
        if node.op_type not in ELEMENTWISE:
            return "does not lower"
        if any(network.shapes[i] != shape for i in dynamic):
            return f"turns shape {network.shapes[dynamic[0]]} into {shape}"
        if any(not np.array_equal(self.orders[i], self.orders[dynamic[0]]) for i in dynamic):
            return "joins two tensors whose elements are ordered differently"
        if node.op_type in (*QUANTIZERS, "BatchNormalization", "DequantizeLinear", "Clip") and dynamic != [node.input[0]]:
            return "has parameters that depend on the network's input"
        aligned = [network.constants[i].shape for i in node.input if i in network.constants and node.op_type != "MultiThreshold"]
        if any(len(s) == len(shape) and s[0] != 1 for s in aligned):
            return "has constants that differ within a batch"
        if node.op_type == "BatchNormalization" and any(a.name == "training_mode" and a.i for a in node.attribute):
            return "is in training mode"
        order = self.orders[dynamic[0]]
        for k, name in enumerate(node.input):
            if name in network.constants and network.constants[name].size > 1:
                kept = _of_pixel(node, network.constants[name], order, self.after[-1])
                if kept is None:
                    return "has constants that differ within a channel"
                self.constants[node.name, k] = kept
        self.orders[node.output[0]] = order
        return ""


def _of_pixel(node: onnx.NodeProto, constant: Array, order: Integers, channels: int) -> Array | None:
    """A constant operand cut to the stream's first pixel; None where it differs between the pixels of a channel."""
    sizes, tail = _aligned(node, constant, order.ndim)
    view = constant.reshape(*sizes, *tail)
    picks = picks_of(order, channels)
    assert picks is not None
    kept = view[np.ix_(*(pick if size > 1 else np.zeros(1, int) for pick, size in zip(picks, sizes, strict=True)))]
    if channels < order.size:
        every = np.broadcast_to(view, (*order.shape, *tail))
        first = np.empty((channels, *tail), constant.dtype)
        first[pixel(order, channels).reshape(-1)] = every[np.ix_(*picks)].reshape(channels, *tail)
        real = order >= 0
        if not np.array_equal(every[real], first[order[real] % channels]):
            return None
    rank = constant.ndim - len(tail)
    lead = kept.shape[: order.ndim]
    axes = [size for size in lead if size > 1] if rank == 1 else [1] * (rank - order.ndim) + list(lead)[max(0, order.ndim - rank) :]
    return kept.reshape(*(axes or [1]), *tail)


def _aligned(node: onnx.NodeProto, constant: Array, rank: int) -> tuple[list[int], list[int]]:
    """A constant's sizes along the axes of its tensor (without the batch), and those along no axis: a channel's own thresholds."""
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    axis, tail = None, list[int]()
    if node.op_type == "MultiThreshold":
        guessed = {1: "NC", 2: "NWC", 3: "NCHW"}.get(rank, "NC")  # as qonnx guesses it
        axis = (attributes.get("data_layout", b"").decode() or guessed).index("C") - 1
        tail = [constant.shape[1]]
    elif node.op_type == "BatchNormalization":
        axis = 0
    elif node.op_type in ("QuantizeLinear", "DequantizeLinear") and constant.ndim == 1:
        axis = attributes.get("axis", 1) % (rank + 1) - 1
    if axis is not None:
        return [constant.shape[0] if k == axis else 1 for k in range(rank)], tail
    # numpy's rule: along the last axes; an axis more than the tensor has is the batch, of size 1.
    return [1] * (rank - constant.ndim) + list(constant.shape)[max(0, constant.ndim - rank) :], tail
