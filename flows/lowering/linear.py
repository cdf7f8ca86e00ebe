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
    sums      True for an average: all weights are one over the number of taps.
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
    """A MatMul or Gemm."""
    given, factors = network.shapes[node.input[0]], network.constants[node.input[1]].astype(np.float64)
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if attributes.get("transA", 0) or factors.ndim != 2:
        return f"multiplies by weights of shape {factors.shape}" if factors.ndim != 2 else "transposes its input"
    if prod(given[1:-1]) != 1:
        return f"works on an input of shape {given}: only (batch, features) lowers"
    if len(node.input) > 2 and node.input[2] and network.constants[node.input[2]].size not in (1, network.shapes[node.output[0]][-1]):
        return "adds a bias that is not one value a row"
    if order.min() < 0:
        return "takes in the values of a Pad"
    rows = (factors if attributes.get("transB", 0) else factors.T) * attributes.get("alpha", 1.0)
    weights, bias = np.empty_like(rows), np.zeros(len(rows))
    weights[:, order.reshape(-1)] = rows
    if len(node.input) > 2 and node.input[2]:
        bias = bias + attributes.get("beta", 1.0) * network.constants[node.input[2]].astype(np.float64).reshape(-1)
    after = (len(rows),) if len(shape) == 1 else (1, 1, len(rows))
    return Linear(node.name, node.input[0], weights, bias, shape, after, np.arange(len(rows)).reshape(network.shapes[node.output[0]][1:]))


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
    """An average over a window, or over the whole image."""
    attributes, given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}, network.shapes[node.input[0]]
    image, sizes = as_image(order, shape), list(order.shape[1:])
    if node.op_type == "ReduceMean":
        axes = attributes.get("axes") or [int(a) for name in node.input[1:] if name for a in network.constants[name].reshape(-1)]
        if sorted(a % len(given) for a in axes) != list(range(2, len(given))):
            return f"averages over axes {list(axes)} of shape {given}: only all behind the channels can be"
    if image is None:
        return _no_image(network, node)
    kernel, after = (attributes["kernel_shape"], network.shapes[node.output[0]][2:]) if node.op_type == "AveragePool" else (sizes, [1, 1])
    window = window_of(node, kernel, sizes, after) if node.op_type == "AveragePool" else _whole(sizes)
    if isinstance(window, str):
        return window
    stated = attributes.get("pads", [0] * 2 * len(sizes))
    outside = window.padding if len(sizes) == 2 else window.padding[1::2]
    if any(outside) and (not attributes.get("count_include_pad", 0) or any(o > s for o, s in zip(outside, stated, strict=True))):
        return "averages fewer values at the border than elsewhere"
    channels = image.shape[2]
    weights = np.full((channels, window.taps), 1 / window.taps)
    found = _windowed(
        node, shape, image.border, window, weights, np.zeros(channels), image.channels, len(sizes), depthwise=True, sums=True
    )  # fmt: skip
    if isinstance(found, str):
        return found
    return replace(found, order=found.order.reshape(network.shapes[node.output[0]][1:]))  # without rows and columns if keepdims = 0


def _whole(sizes: Sequence[int]) -> Window:
    return Window((sizes[0], sizes[1]) if len(sizes) == 2 else (1, sizes[0]))


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
