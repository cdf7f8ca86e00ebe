"""Cuts a network at its linear operators: what lies between two of them is one element-wise function for each channel.

    input --region--> linear --region--> linear --region--> logits (--tail)

A region is never matched against patterns; it is evaluated at every value its start can take.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from arbonn.errors import LoweringError
from arbonn.flows.network import Array, Network
from arbonn.flows.operators import ELEMENTWISE, LINEAR, QUANTIZERS, SHAPE, TAIL

CHUNK = 1 << 20  # values evaluated at once: bounds memory whatever the number of levels


@dataclass(frozen=True, eq=False)
class Region:
    """The element-wise nodes from tensor `start` to tensor `end`, of equally many elements."""

    network: Network
    start: str
    end: str
    nodes: tuple[onnx.NodeProto, ...]

    def evaluate(self, values: Array) -> NDArray[np.float32]:
        """Values (levels, channels) at `start` to those at `end`, by the file's own operators."""
        rows = max(1, CHUNK // max(1, values.shape[1]))
        parts = [values[k : k + rows].astype(np.float32) for k in range(0, len(values), rows)]
        results = [self.network.evaluate(self.nodes, self.start, part)[self.end].reshape(len(part), -1) for part in parts]
        return np.concatenate(results).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Linear:
    """y = weights @ x + bias, as in the file: weights (MH, MW) and bias (MH,) in float64, with a Gemm's factors multiplied in."""

    node: str
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Segments:
    """regions[0] linears[0] regions[1] ... regions[-1]; `tail` is the operator left to the host, or to LabelSelect."""

    regions: tuple[Region, ...]
    linears: tuple[Linear, ...]
    tail: onnx.NodeProto | None


def cut(network: Network) -> Segments:
    """The segments of a network. Raises one LoweringError that names every node which mixes elements in a way that does not lower."""
    problems: list[tuple[onnx.NodeProto, str]] = []
    regions, linears, tail = [], [], None
    start, nodes, alive = network.input, list[onnx.NodeProto](), {network.input}
    for node in network.nodes:
        outside = [i for i in network.dynamic(node) if i not in alive]
        if outside:
            problems.append((node, f"takes {outside[0]!r} from another branch"))
        elif tail is not None:
            problems.append((node, f"follows {tail.op_type}, which only the end of a network may be"))
        elif node.op_type in TAIL:
            tail = node
        elif node.op_type in LINEAR:
            reason = _linear_problem(network, node)
            problems += [(node, reason)] if reason else []
            if not reason:
                linears.append(_linear(network, node))
            regions.append(_region(network, start, node.input[0], nodes))
            start, nodes, alive = node.output[0], [], set()
        else:
            reason = _shape_problem(network, node) if node.op_type in SHAPE else _elementwise_problem(network, node)
            problems += [(node, reason)] if reason else []
            nodes.append(node)
        alive.update(node.output)
    if problems:
        listed = "; ".join(f"{node.name} ({node.op_type}) {reason}" for node, reason in problems)
        raise LoweringError(
            network.name,
            found=listed,
            allowed="a chain of linear layers with element-wise operators between them",
            fix="export the network without these nodes",
        )
    if not linears:
        raise LoweringError(network.name, found="no linear layer", allowed="networks with at least one MatMul or Gemm by constant weights")
    regions.append(_region(network, start, tail.input[0] if tail is not None else network.output, nodes))
    return Segments(tuple(regions), tuple(linears), tail)


def _region(network: Network, start: str, end: str, nodes: list[onnx.NodeProto]) -> Region:
    """Only the nodes that `end` needs."""
    needed, kept = {end}, []
    for node in reversed(nodes):
        if needed & set(node.output):
            needed.update(node.input)
            kept.append(node)
    return Region(network, start, end, tuple(kept[::-1]))


def _linear_problem(network: Network, node: onnx.NodeProto) -> str:
    if network.dynamic(node) != [node.input[0]]:
        return "has weights that are not constant, or as its first operand"
    shape = network.shapes[node.input[0]]
    weights = network.constants[node.input[1]]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if attributes.get("transA", 0) or weights.ndim != 2:
        return f"multiplies by weights of shape {weights.shape}" if weights.ndim != 2 else "transposes its input"
    if np.prod(shape[1:-1], dtype=int) != 1:
        return f"works on an input of shape {shape}: only (batch, features) lowers"
    if len(node.input) > 2 and node.input[2] and network.constants[node.input[2]].size not in (1, network.shapes[node.output[0]][-1]):
        return "adds a bias that is not one value a row"
    return ""


def _linear(network: Network, node: onnx.NodeProto) -> Linear:
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    weights = network.constants[node.input[1]].astype(np.float64)
    rows = weights if attributes.get("transB", 0) else weights.T
    bias = np.zeros(len(rows))
    if len(node.input) > 2 and node.input[2]:
        bias = bias + attributes.get("beta", 1.0) * network.constants[node.input[2]].astype(np.float64).reshape(-1)
    return Linear(node.name, rows * attributes.get("alpha", 1.0), bias)


def _shape_problem(network: Network, node: onnx.NodeProto) -> str:
    before, after = network.shapes[node.input[0]], network.shapes[node.output[0]]
    if len(after) < 2 or after[0] != before[0]:
        return f"turns shape {before} into {after}: the batch must stay the first axis"
    if node.op_type == "Transpose":
        perm = next((list(a.ints) for a in node.attribute if a.name == "perm"), list(range(len(before)))[::-1])
        order = np.arange(network.elements(node.input[0])).reshape(1, *before[1:])
        if perm[0] != 0 or not np.array_equal(order.transpose(perm).reshape(-1), order.reshape(-1)):
            return "changes the order of the elements"
    return ""


def _elementwise_problem(network: Network, node: onnx.NodeProto) -> str:
    dynamic = network.dynamic(node)
    shape = network.shapes[node.output[0]]
    if node.op_type not in ELEMENTWISE:
        return "does not lower"
    if any(network.shapes[i] != shape for i in dynamic):
        return f"turns shape {network.shapes[dynamic[0]]} into {shape}"
    if node.op_type in (*QUANTIZERS, "BatchNormalization", "DequantizeLinear", "Clip") and dynamic != [node.input[0]]:
        return "has parameters that depend on the network's input"
    aligned = [network.constants[i].shape for i in node.input if i in network.constants and node.op_type != "MultiThreshold"]
    if any(len(s) == len(shape) and s[0] != 1 for s in aligned):
        return "has constants that differ within a batch"
    if node.op_type == "BatchNormalization" and any(a.name == "training_mode" and a.i for a in node.attribute):
        return "is in training mode"
    return ""
