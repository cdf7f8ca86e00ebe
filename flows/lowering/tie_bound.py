"""How far float32 execution of a file may stray, from the number of its float operations: intervals, rounded outwards.

An interval starts at an integer point, whose values are known but for its deviation, or as the exact real value of a linear operator
with the classic bound on its float32 sum, and runs through the file's own operators; every operator widens it by its roundings
(`ELEMENTWISE`). Operators are taken as monotone within so small an interval: where that is wrong an honest tie would be called a
mismatch, never the reverse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import onnx
from numpy.typing import NDArray

from arbonn.flows.lowering.layout import from_stream
from arbonn.flows.lowering.network import Network, run_node
from arbonn.flows.lowering.operators import CONCATS, ELEMENTWISE, SHAPE
from arbonn.flows.lowering.points import Layer, Point
from arbonn.hw.datatypes import Integers

UNIT = 2.0**-24  # unit roundoff of float32
SMALLEST = 2.0**-149  # of its subnormals

Reals = NDArray[np.float64]
Interval = tuple[Reals, Reals]


def linear_interval(layer: Layer, codes: Integers) -> Interval:
    """Bounds (samples, *after) on the file's float32 linear operator for integers (samples, ...) at the layer's point, in stream order.

    |error| <= gamma_(N + 4) * (sum_i |w_i x_i| + |bias|) + sum_i |w_i| * deviation, gamma_n = n u / (1 - n u), in any order of summation,
    with N weights that are not zero. The 4: the weight's own rounding to scale * integer, the bias, and a Gemm's two factors.
    """
    point, linear = layer.source, layer.linear
    exact = layer.exact(layer.dot(codes))
    sizes = np.abs(layer.weights) * np.abs(layer.scale)[:, None]
    roundings = (int((layer.weights != 0).sum(axis=1).max()) + 4) * UNIT
    gamma = roundings / (1 - roundings)
    zero, edge = (float(abs(point.base + point.step * n)) for n in (point.zero, point.edge))
    products = linear.dot(np.abs(point.base + point.step * codes), sizes, zero, edge)
    error = gamma * (products + np.abs(linear.bias)) + sizes.sum(axis=1) * point.deviation + SMALLEST
    return exact - error, exact + error


class Bounds:
    """Bounds on every tensor of the file, for known integers (samples, elements) of points that come before it."""

    def __init__(self, network: Network, layers: Sequence[Layer], values: Mapping[str, NDArray[np.float32]]) -> None:
        """`values`: what is known exactly, the network's input."""
        self.network = network
        self.layers = {layer.output: layer for layer in layers}
        self.producers = {name: node for node in network.nodes for name in node.output if name}
        self.known: dict[str, Interval] = {name: (v.astype(np.float64), v.astype(np.float64)) for name, v in values.items()}
        self.codes: dict[str, Integers] = {}

    def learn(self, point: Point, codes: Integers) -> None:
        """Takes the integers of a point, in its stream's order."""
        flat = codes.reshape(len(codes), -1)
        exact = np.asarray(point.base + point.step * flat[:, point.order.clip(0)], np.float64)
        edge = point.base + point.step * point.edge
        exact = np.where(point.order < 0, edge, exact)
        self.codes[point.tensor] = codes
        self.known[point.tensor] = exact - point.deviation, exact + point.deviation

    def sample(self, number: int) -> Bounds:
        """The same of one sample."""
        one = Bounds(self.network, list(self.layers.values()), {})
        rows = slice(number, number + 1)
        one.known = {name: (low[rows], high[rows]) for name, (low, high) in self.known.items()}
        one.codes = {name: codes[rows] for name, codes in self.codes.items()}
        return one

    def of(self, tensor: str) -> Interval:
        """Bounds (samples, ...) in the file's order, from the operators between the known tensors and this one."""
        found, needed = dict(self.known), self._needed(tensor)
        for node in self.network.nodes:
            if node.name not in needed:
                continue
            layer = self.layers.get(node.output[0])
            if layer is not None:
                low, high = linear_interval(layer, self.codes[layer.source.tensor])
                order = layer.linear.order
                found[layer.output] = from_stream(low, order), from_stream(high, order)
            elif node.op_type in SHAPE:
                low, high = found[node.input[0]]
                found[node.output[0]] = self.network.reshaped(node, low), self.network.reshaped(node, high)
            else:
                found |= _operator(self.network, node, found)
        return found[tensor]

    def _needed(self, tensor: str) -> set[str]:
        """Names of the nodes between what is known and a tensor."""
        nodes, waiting = set[str](), [tensor]
        while waiting:
            name = waiting.pop()
            node = self.producers.get(name)
            if name in self.known or node is None or node.name in nodes:
                continue
            nodes.add(node.name)
            if name not in self.layers:
                waiting += self.network.dynamic(node)
        return nodes


def _operator(network: Network, node: onnx.NodeProto, bounds: Mapping[str, Interval]) -> dict[str, Interval]:
    """An operator's least and greatest results at the corners of its inputs, widened by its roundings."""
    dynamic = [i for i in dict.fromkeys(node.input) if i in bounds]
    before, after = _roundings(network, node, bounds)
    corners = list[Mapping[str, NDArray[np.float64]]]()
    every = [(side,) * len(dynamic) for side in (0, 1)] if node.op_type in CONCATS else product((0, 1), repeat=len(dynamic))
    for sides in every:
        inputs = {i: network.constants[i] for i in node.input if i in network.constants}
        for name, side in zip(dynamic, sides, strict=True):
            inputs[name] = _outward(bounds[name][side] + (2 * side - 1) * before, up=bool(side), kind=network.types[name])
        outputs = run_node(node, inputs, network.opset, network.ir_version)
        corners.append({name: values.astype(np.float64) for name, values in outputs.items()})
    result = {}
    for name in corners[0]:
        low, high = np.minimum.reduce([c[name] for c in corners]), np.maximum.reduce([c[name] for c in corners])
        widen = after * UNIT * np.maximum(np.abs(low), np.abs(high)) + (SMALLEST if after else 0.0)
        if node.op_type == "BatchNormalization":
            widen = widen + _cancelled(network, node, bounds[node.input[0]])
        result[name] = low - widen, high + widen
    return result


def _roundings(network: Network, node: onnx.NodeProto, bounds: Mapping[str, Interval]) -> tuple[Reals | float, int]:
    """(what the input's value may be off by, roundings of the output). A quantizer rounds its quotient before it decides."""
    roundings = ELEMENTWISE.get(node.op_type, 0)  # a maximum and a border only copy
    if node.op_type == "Sum":
        roundings = len(node.input)
    if node.op_type not in ("IntQuant", "Quant", "QuantizeLinear", "Trunc"):
        return 0.0, 0 if node.op_type in ("BipolarQuant", "MultiThreshold") else roundings
    low, high = bounds[node.input[0]]
    zero = np.abs(network.constants[node.input[2]]).astype(np.float64) if len(node.input) > 2 and node.input[2] else np.zeros(1)
    scale = np.abs(network.constants[node.input[1]]).astype(np.float64)
    return float(roundings) * UNIT * (np.maximum(np.abs(low), np.abs(high)) + float((zero * scale).max())), 0


def _cancelled(network: Network, node: onnx.NodeProto, interval: Interval) -> Reals:
    """BatchNorm's terms may cancel: its roundings are relative to the terms, |x s| + |mean s| + |bias|, not to their sum."""
    gain, bias, mean, variance = (network.constants[i].astype(np.float64) for i in node.input[1:5])
    epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
    axes = (-1, *([1] * (interval[0].ndim - 2)))
    factor = (np.abs(gain) / np.sqrt(variance + epsilon)).reshape(axes)
    size = (np.maximum(np.abs(interval[0]), np.abs(interval[1])) + np.abs(mean).reshape(axes)) * factor + np.abs(bias).reshape(axes)
    return np.asarray(ELEMENTWISE["BatchNormalization"] * UNIT * size, np.float64)


def _outward(values: Reals, *, up: bool, kind: np.dtype[np.generic]) -> NDArray[np.generic]:
    """float32 values not inside of `values`; integers and truth values as they are."""
    if kind.kind != "f":
        return values.astype(kind)
    near = values.astype(np.float32)
    inside = near < values if up else near > values
    return np.where(inside, np.nextafter(near, np.float32(np.inf if up else -np.inf)), near).astype(kind)


def point_values(point: Point, codes: Integers) -> Reals:
    """The real values of integers at a point."""
    return np.asarray(point.base + point.step * codes, np.float64)
