"""What a pass is, and the runner that keeps every graph legal.

A pass is a frozen dataclass with a `name`, in a file of its own; its docstring says Before, After, Keeps and Needs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from arbonn.hw.graph import DataflowGraph, Node, Stream


class Pass(ABC):
    """One rewrite of a whole graph; a graph with nothing to rewrite comes back as it is."""

    name: ClassVar[str]

    @abstractmethod
    def apply(self, graph: DataflowGraph) -> DataflowGraph:
        """The graph after the pass."""


def run_passes(graph: DataflowGraph, passes: Sequence[Pass]) -> DataflowGraph:
    """Applies passes in order; the graph is verified before the first and after each."""
    graph.verify()
    for each in passes:
        graph = each.apply(graph).verify()
    return graph


def swap(graph: DataflowGraph, nodes: Mapping[str, Node], streams: Mapping[str, Stream] | None = None) -> DataflowGraph:
    """The graph with the nodes and streams of these ids replaced; streams follow a node that changes its id."""
    renamed = {old: new.id for old, new in nodes.items()}
    streams = streams or {}
    result = []
    for stream in graph.streams:
        stream = streams.get(stream.id, stream)
        source, sink = stream.source, stream.sink
        result.append(
            replace(
                stream,
                source=source and source._replace(node=renamed.get(source.node, source.node)),
                sink=sink and sink._replace(node=renamed.get(sink.node, sink.node)),
            )
        )
    return graph.with_nodes([nodes.get(n.id, n) for n in graph.nodes], result)


def bypass(graph: DataflowGraph, node: Node, keep: Stream) -> DataflowGraph:
    """The graph without a node of one input `i` and one output `o`; `keep` stands for both streams."""
    ports = graph.ports(node)
    joined = replace(keep, source=ports["i"].source, sink=ports["o"].sink)
    gone = {ports["i"].id, ports["o"].id}
    streams = [joined if s.id == ports["i"].id else s for s in graph.streams if s.id not in gone or s.id == ports["i"].id]
    return graph.with_nodes([n for n in graph.nodes if n.id != node.id], streams)
