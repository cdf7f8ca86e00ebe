"""Linear operators as matrices over what a stream brings: dense layers, convolutions of any grouping, sums of a window.

Rows and columns are in the stream's order, NHWC: whatever Flatten, Transpose or Reshape did to the elements ends in a permutation of
weights, and needs no hardware.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import onnx
from numpy.typing import NDArray

from arbonn.flows.lowering.layout import as_image, image_order
from arbonn.flows.lowering.network import Array, Network
from arbonn.flows.lowering.operators import SUMS
from arbonn.flows.lowering.window import Window, window_of
from arbonn.hw.datatypes import Integers


@dataclass(frozen=True, eq=False)
class Linear:
    """y = weights . x + bias for each window, as in the file, in float64 and with a Gemm's factors multiplied in.

    weights   (MH, taps * C) with the window's order (taps, C); (C, taps) where `depthwise`: each channel by itself. bias (MH,).
    window    None: one window, the whole frame.    border  (top, left, bottom, right) of what a Pad put round the input.
    shape     the frame of the stream that brings x.    after  that of y's, (OH, OW, MH) or (MH,).    order  of the file's y on that.
    sums      True for an average: all weights are one over the number of values.
    """

    node: str
    source: str
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    shape: tuple[int, ...]
    after: tuple[int, ...]
    order: Integers
    window: Window | None = None
    border: tuple[int, int, int, int] = (0, 0, 0, 0)
    depthwise: bool = False
    sums: bool = False

    @property
    def pads(self) -> bool:
        """True when the operator's own padding, by zero, adds anything."""
        return self.window is not None and any(self.window.padding)

    def dot(self, codes: Array, weights: Array, zero: float, edge: float) -> Array:
        """weights . x on every window, (n, *after), for integers (n, *shape): `edge` is the border's, `zero` stands for the file's 0."""
        if self.window is None:
            return np.asarray(codes.reshape(len(codes), -1) @ weights.T).reshape(len(codes), *self.after)
        top, left, bottom, right = self.border
        images = codes.reshape(len(codes), *self.image_shape)
        taps = self.window.gather(np.pad(images, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=edge), zero)
        if self.depthwise:
            return np.asarray(np.einsum("nyxtc,ct->nyxc", taps, weights)).reshape(len(codes), *self.after)
        return np.asarray(taps.reshape(*taps.shape[:3], -1) @ weights.T).reshape(len(codes), *self.after)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`shape` as an image."""
        return (1, 1, self.shape[0]) if len(self.shape) == 1 else (self.shape[0], self.shape[1], self.shape[2])


def linear_of(network: Network, node: onnx.NodeProto, shape: tuple[int, ...], order: Integers) -> Linear | str:
    """A linear node over a stream's frame, or why it does not lower."""
    if node.op_type in SUMS:
        return _sum(network, node, shape, order)
    if network.dynamic(node) != [node.input[0]]:
        return "has weights that are not constant, or as its first operand"
    return _convolution(network, node, shape, order) if node.op_type == "Conv" else _dense(network, node, shape, order)


def _dense(network: Network, node: onnx.NodeProto, shape: tuple[int, ...], order: Integers) -> Linear | str:
    """A MatMul or Gemm: on the whole frame, or on each pixel (or time step) where it has several."""
    given, factors = network.shapes[node.input[0]], network.constants[node.input[1]].astype(np.float64)
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    while factors.ndim > 2 and factors.shape[0] == 1 and factors.ndim <= len(given):
        factors = factors[0]
    if attributes.get("transA", 0) or factors.ndim != 2:
        return f"multiplies by weights of shape {factors.shape}" if factors.ndim != 2 else "transposes its input"
    if len(node.input) > 2 and node.input[2] and network.constants[node.input[2]].size not in (1, network.shapes[node.output[0]][-1]):
        return "adds a bias that is not one value a row"
    if order.min() < 0:
        return "takes in the values of a Pad"
    rows = (factors if attributes.get("transB", 0) else factors.T) * attributes.get("alpha", 1.0)
    places, pixels = order.reshape(-1), prod(given[1:-1])
    if pixels > 1:
        channels = order.reshape(pixels, -1)[0]
        if len(shape) == 1 or not np.array_equal(order.reshape(pixels, -1), np.arange(pixels)[:, None] * shape[-1] + channels):
            return f"works on an input of shape {given}: only (batch, features), or (batch, pixels, features) pixel by pixel"
        places = channels
    weights, bias = np.empty_like(rows), np.zeros(len(rows))
    weights[:, places] = rows
    if len(node.input) > 2 and node.input[2]:
        bias = bias + attributes.get("beta", 1.0) * network.constants[node.input[2]].astype(np.float64).reshape(-1)
    after = (len(rows),) if len(shape) == 1 else (*(shape[:2] if pixels > 1 else (1, 1)), len(rows))
    order_of_rows = np.arange(pixels * len(rows)).reshape(network.shapes[node.output[0]][1:])
    return Linear(node.name, node.input[0], weights, bias, shape, after, order_of_rows, Window((1, 1)) if pixels > 1 else None)


def _convolution(network: Network, node: onnx.NodeProto, shape: tuple[int, ...], order: Integers) -> Linear | str:
    """A Conv; of groups that are not one channel each the other groups' weights are zero."""
    image, factors = as_image(order, shape), network.constants[node.input[1]].astype(np.float64)
    if image is None:
        return _no_image(network, node)
    window = window_of(node, factors.shape[2:], order.shape[1:], network.shapes[node.output[0]][2:])
    if isinstance(window, str):
        return window
    rows, each = factors.shape[:2]
    channels, groups = image.shape[2], image.shape[2] // each
    taps = factors.reshape(rows, each, -1)
    depthwise = groups == rows == channels > 1
    if depthwise:
        weights, order_of_rows = np.empty((channels, taps.shape[2])), image.channels
        weights[image.channels] = taps[:, 0]
    else:
        full, order_of_rows = np.zeros((rows, taps.shape[2], channels)), np.arange(rows)
        for row in range(rows):
            first = row // (rows // groups) * each
            full[row][:, image.channels[first : first + each]] = taps[row].T
        weights = full.reshape(rows, -1)
    bias = np.zeros(rows)
    if len(node.input) > 2 and node.input[2]:
        bias[order_of_rows] = network.constants[node.input[2]].astype(np.float64).reshape(-1)
    return _windowed(node, shape, image.border, window, weights, bias, order_of_rows, order.ndim - 1, depthwise=depthwise)


def _sum(network: Network, node: onnx.NodeProto, shape: tuple[int, ...], order: Integers) -> Linear | str:
    """An average over a window, or over whole axes of the image."""
    if node.op_type == "ReduceMean":
        return _mean(network, node, shape, order)
    image, sizes = as_image(order, shape), list(order.shape[1:])
    if image is None:
        return _no_image(network, node)
    if node.op_type == "GlobalAveragePool":
        return _average(network, node, shape, order, Window(_pair(sizes)), 1 / prod(sizes))
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    window = window_of(node, attributes["kernel_shape"], sizes, network.shapes[node.output[0]][2:])
    if isinstance(window, str):
        return window
    # What a window's sum is divided by: its pixels inside, and those of stated pads if they count; never those that ceil_mode adds.
    stated = attributes.get("pads", [0] * 2 * len(sizes)) if attributes.get("count_include_pad", 0) else [0] * 2 * len(sizes)
    pads = (0, stated[0], 0, stated[1]) if len(sizes) == 1 else tuple(stated)
    top, left, bottom, right = (min(s, p) for s, p in zip(pads, window.padding, strict=True))
    rest = tuple(p - s for p, s in zip(window.padding, (top, left, bottom, right), strict=True))
    inside = np.ones((1, (1, *sizes)[-2] + top + bottom, sizes[-1] + left + right, 1))
    counts = np.unique(replace(window, padding=(rest[0], rest[1], rest[2], rest[3])).gather(inside, 0).sum(axis=3))
    if len(counts) != 1:
        return f"averages {counts[0]:g} values in some windows and {counts[-1]:g} in others"
    return _average(network, node, shape, order, window, 1 / counts[0])


def _mean(network: Network, node: onnx.NodeProto, shape: tuple[int, ...], order: Integers) -> Linear | str:
    """A ReduceMean over some axes of the image, wherever its channels are."""
    attributes, given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}, network.shapes[node.input[0]]
    axes = attributes.get("axes") or [int(a) for name in node.input[1:] if name for a in network.constants[name].reshape(-1)]
    taken = {a % len(given) for a in axes}
    for moved, channel in ((order, 1), (np.moveaxis(order, -1, 0), len(given) - 1)):
        image = as_image(moved, shape)
        if image is not None and taken and not taken & {0, channel}:
            spatial = [axis for axis in range(1, len(given)) if axis != channel]
            kernel = [given[axis] if axis in taken else 1 for axis in spatial]
            window = Window(_pair(kernel), _pair([given[axis] if axis in taken else 1 for axis in spatial]))
            found = _average(network, node, shape, moved, window, 1 / prod(kernel), flat=True)
            if isinstance(found, str):
                return found
            planes = found.order if channel == 1 else np.moveaxis(found.order, 0, -1)
            return replace(found, order=planes.reshape(network.shapes[node.output[0]][1:]))
    return f"averages over axes {list(axes)} of shape {given}: only rows and columns of an image can be"


def _average(
    network: Network, node: onnx.NodeProto, shape: tuple[int, ...], order: Integers, window: Window, weight: float, *, flat: bool = False
) -> Linear | str:
    image = as_image(order, shape)
    assert image is not None
    channels = image.shape[2]
    weights = np.full((channels, window.taps), weight)
    bias = np.zeros(channels)
    found = _windowed(node, shape, image.border, window, weights, bias, image.channels, order.ndim - 1, depthwise=True, sums=True)
    if isinstance(found, str) or flat:
        return found
    return replace(found, order=found.order.reshape(network.shapes[node.output[0]][1:]))


def _pair(sizes: Sequence[int]) -> tuple[int, int]:
    return (sizes[0], sizes[1]) if len(sizes) == 2 else (1, sizes[0])


def _windowed(
    node: onnx.NodeProto,
    shape: tuple[int, ...],
    border: tuple[int, int, int, int],
    window: Window,
    weights: NDArray[np.float64],
    bias: NDArray[np.float64],
    channels: Integers,
    axes: int,
    *,
    depthwise: bool,
    sums: bool = False,
) -> Linear | str:
    """A linear operator on windows whose tensor's channel c is row channels[c]."""
    if len(shape) == 1 and not (window.is_point and border == (0, 0, 0, 0)):
        return "works on windows of a vector"
    (h, w), (top, left, bottom, right) = shape[:2] if len(shape) > 1 else (1, 1), border
    output = (*window.output((h + top + bottom, w + left + right)), len(bias))
    order, after = image_order(output, channels, axes), output if len(shape) == 3 else output[2:]
    return Linear(node.name, node.input[0], weights, bias, shape, after, order, window, border, depthwise, sums)


def _no_image(network: Network, node: onnx.NodeProto) -> str:
    given = network.shapes[node.input[0]]
    return f"works on shape {given}: only (batch, channels, width) or (batch, channels, height, width) lowers"
