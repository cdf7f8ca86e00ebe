"""Graphs put together unit by unit, for tests: each stream is named once and ends at the unit that takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import DataType
from arbonn.hw.graph import DataflowGraph, Endpoint, Node, Stream

Port = tuple[tuple[int, ...], DataType, int]  # shape, type, lanes


class GraphBuilder:
    """Starts with one input `x`."""

    def __init__(self, port: Port) -> None:
        self.nodes: list[Node] = []
        self.streams: dict[str, Stream] = {"x": Stream("x", *port)}

    def port(self, stream: str) -> Port:
        s = self.streams[stream]
        return s.shape, s.dtype, s.lanes

    def add(self, node: Node, taken: Mapping[str, str], given: Mapping[str, Port]) -> list[str]:
        """Puts a unit on streams by port; returns the names of the streams that it gives."""
        self.nodes.append(node)
        for port, stream in taken.items():
            self.streams[stream] = replace(self.streams[stream], sink=Endpoint(node.id, port))
        made = {f"{node.id}_{port}": Stream(f"{node.id}_{port}", *shape, source=Endpoint(node.id, port)) for port, shape in given.items()}
        self.streams |= made
        return list(made)

    def chain(self, node: Node, stream: str, port: Port) -> str:
        """Puts a unit with ports i and o on a stream."""
        return self.add(node, {"i": stream}, {"o": port})[0]

    def graph(self) -> DataflowGraph:
        return DataflowGraph(tuple(self.nodes), tuple(self.streams.values()), InputContract(self.streams["x"].dtype)).verify()
