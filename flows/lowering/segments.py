"""Cuts a network where integers arise: at its input, at its linear operators, where branches join and where channels part.

Behind each of these stands a span: functions of one integer for each channel, with an end for each node that takes one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from arbonn.errors import LoweringError
from arbonn.flows.lowering.front import front, image_place
from arbonn.flows.lowering.joins import Concatenation, Selection, Sum, concatenation_of, selections_of, sum_of
from arbonn.flows.lowering.linear import Linear, linear_of
from arbonn.flows.lowering.network import Network
from arbonn.flows.lowering.operators import ADDS, CONCATS, LINEAR, SELECTS, TAIL
from arbonn.flows.lowering.problems import with_problems
from arbonn.flows.lowering.spans import End, Place, Span

Source = Linear | Sum | Concatenation | Selection


@dataclass(frozen=True, eq=False)
class Segments:
    """Spans in the order of the file, with what each starts from: None for the input. `tail`: the operator left to the host."""

    network: Network
    spans: tuple[Span, ...]
    sources: tuple[Source | None, ...]
    tail: onnx.NodeProto | None

    @property
    def linears(self) -> tuple[Linear, ...]:
        return tuple(source for source in self.sources if isinstance(source, Linear))


class _Cutter:
    """Spans by the tensors that they hold, and all that does not lower."""

    def __init__(self, network: Network) -> None:
        self.network, self.problems = network, list[tuple[onnx.NodeProto, str]]()
        self.spans, self.sources, self.home = list[Span](), list[Source | None](), dict[str, Span]()
        self.tail: onnx.NodeProto | None = None
        self.start(network.input, front(network), None)

    def start(self, tensor: str, place: Place, source: Source | None) -> None:
        self.spans.append(Span(self.network, tensor, place.frame, place.order))
        self.sources.append(source)
        self.home[tensor] = self.spans[-1]

    def node(self, node: onnx.NodeProto) -> None:
        """Appends a node to the span of what it takes, or starts spans behind it."""
        dynamic = self.network.dynamic(node)
        reason = ""
        if self.tail is not None:
            reason = f"follows {self.tail.op_type}, which only the end of a network may be"
        elif node.op_type in TAIL:
            self.tail = node
            return
        elif node.op_type in LINEAR:
            reason = self.linear(node, dynamic)
        elif node.op_type in SELECTS:
            reason = self.selections(node, dynamic)
        elif node.op_type in CONCATS or not self.one_place(dynamic):
            reason = self.join(node, [i for i in node.input if i in self.network.shapes])
        else:
            span = self.home[dynamic[0]]
            reason = span.add(node)
            self.home |= dict.fromkeys(node.output, span)
            if reason:
                span.restart(node, fresh(self.network, node.output[0]).frame, fresh(self.network, node.output[0]).order)
        if reason:
            self.problems.append((node, reason))
        for output in node.output:
            if output in self.network.shapes and output not in self.home:
                self.start(output, fresh(self.network, output), None)

    def one_place(self, dynamic: list[str]) -> bool:
        """True where a node takes functions of the same integers."""
        first = self.home[dynamic[0]]
        alike = all(self.home[i] is first and first.places[dynamic[0]].alike(first.places[i]) for i in dynamic)
        return alike or any(self.network.shapes[i] != self.network.shapes[dynamic[0]] for i in dynamic if self.home[i] is first)

    def linear(self, node: onnx.NodeProto, dynamic: list[str]) -> str:
        span, place = self.home[dynamic[0]], self.home[dynamic[0]].places[dynamic[0]]
        found = linear_of(self.network, node, place.frame, place.order)
        if isinstance(found, str):
            return found
        span.ends.append(End(dynamic[0], node.name))
        self.start(node.output[0], Place(found.after, found.order), found)
        return ""

    def selections(self, node: onnx.NodeProto, dynamic: list[str]) -> str:
        span = self.home[dynamic[0]]
        found = selections_of(self.network, node, span.places[dynamic[0]])
        if isinstance(found, str):
            return found
        if isinstance(found, Place):
            span.moved(node, found)
            self.home[node.output[0]] = span
            return ""
        for each in found:
            span.ends.append(End(dynamic[0], node.name, each.position))
            self.start(node.output[each.position], each.place, each)
        return ""

    def join(self, node: onnx.NodeProto, dynamic: list[str]) -> str:
        if node.op_type not in (*ADDS, *CONCATS):
            return f"joins branches {' and '.join(map(repr, dict.fromkeys(dynamic)))}: only {', '.join((*ADDS, *CONCATS))} can"
        places = [self.home[i].places[i] for i in dynamic]
        found = (concatenation_of if node.op_type in CONCATS else sum_of)(self.network, node, places)
        if isinstance(found, str):
            return found
        for position, tensor in enumerate(dynamic):
            self.home[tensor].ends.append(End(tensor, node.name, position))
        self.start(node.output[0], found.place, found)
        return ""


def cut(network: Network) -> Segments:
    """The segments of a network. Raises one LoweringError that names every node which mixes elements in a way that does not lower."""
    cutter = _Cutter(network)
    for node in network.nodes:
        cutter.node(node)
    if cutter.problems:
        error = LoweringError(
            network.name,
            found="; ".join(f"{node.name} ({node.op_type}) {reason}" for node, reason in cutter.problems),
            allowed="linear layers, sums and concatenations of branches, with element-wise operators between them",
            fix="export the network without these nodes",
        )
        raise with_problems(error, cutter.problems)
    if not any(isinstance(source, Linear) for source in cutter.sources):
        raise LoweringError(
            network.name, found="no linear layer", allowed="networks with at least one Conv, MatMul or Gemm by constant weights"
        )
    last = cutter.tail.input[0] if cutter.tail is not None else network.output
    span = cutter.home[last]
    span.ends.append(End(last))
    _refuse_unordered(network, span.places[last])
    return Segments(network, tuple(cutter.spans), tuple(cutter.sources), cutter.tail)


def _refuse_unordered(network: Network, last: Place) -> None:
    order = np.sort(last.order.reshape(-1))
    if not np.array_equal(order, np.arange(last.frame[-1])):
        found = f"logits of shape {network.shapes[network.output]}"
        raise LoweringError(network.name, found=found, allowed="one number a class, in the order of the last layer's rows")


def fresh(network: Network, tensor: str) -> Place:
    """A place for a tensor behind a problem, so that the search for further problems goes on."""
    shape = network.shapes[tensor][1:]
    if len(shape) in (2, 3):
        return image_place(shape)
    size = int(np.prod(shape))
    return Place((size,), np.arange(size).reshape(shape))


__all__ = ["Segments", "Source", "cut"]
