"""When two graphs are the same network: all that decides which integers come out, and nothing that is only chosen or named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from arbonn.hw import graph_file
from arbonn.hw.contract import InputContract
from arbonn.hw.graph import DataflowGraph, Endpoint, Node, Stream
from arbonn.hw.units.dwc import DWC
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.swg import SWG

PIXELS = 1 << 24  # of a line buffer: enough for any


def network_digest(graph: DataflowGraph) -> str:
    """SHA-256 of a graph without names, provenance, folding (lanes, FIFOs, DWCs, line buffers) and what input codes mean.

    Units, their parameters and pipeline depths, the shapes and types of streams, the order of units and the codes of the input count.
    So does the order of parallel branches: two graphs that differ in no more than that have different digests.
    """
    return graph_file.digest(plain(graph))


def plain(graph: DataflowGraph) -> DataflowGraph:
    """The graph unfolded, with names by position: units in topological order, streams in the order of their producers."""
    nodes, streams = dict[str, Node](), list[Stream]()
    kept = [n for n in graph.ordered() if not isinstance(n, FIFO | DWC)]
    names = {n.id: f"n{k}" for k, n in enumerate(kept)}
    for node in kept:
        wide = _line_buffer(node, graph) if isinstance(node, SWG) else node
        nodes[node.id] = replace(wide, id=names[node.id], origin=())
    for stream in _sources(graph, kept):
        source, sink = stream.source, _sink(graph, stream)
        streams.append(
            replace(
                stream, id=f"s{len(streams)}", lanes=1,
                source=source and Endpoint(names[source.node], source.port), sink=sink and Endpoint(names[sink.node], sink.port),
            )
        )  # fmt: skip
    codes = graph.contract
    contract = InputContract(codes.dtype, low=codes.low, high=codes.high)
    return DataflowGraph(tuple(nodes.values()), tuple(streams), contract)


def _line_buffer(node: SWG, graph: DataflowGraph) -> SWG:
    """With room for any frame, and no more border than windows reach."""
    ports = graph.ports(node)
    (h, w, _), (top, left, bottom, right) = ports["i"].shape, node.padding
    (oh, ow), (eh, ew), (sh, sw) = node.windows(ports), node.extent(), node.stride
    padding = (top, left, min(bottom, max(0, (oh - 1) * sh + eh - h - top)), min(right, max(0, (ow - 1) * sw + ew - w - left)))
    return replace(node, pixels=PIXELS, padding=padding, value=node.value if any(padding) else 0)


def _sources(graph: DataflowGraph, kept: list[Node]) -> Iterator[Stream]:
    yield from graph.inputs
    for node in kept:
        ports = graph.ports(node)
        yield from (ports[port] for port in node.gives)


def _sink(graph: DataflowGraph, stream: Stream) -> Endpoint | None:
    """Who takes a stream, behind FIFOs and width converters."""
    while stream.sink is not None and isinstance(node := graph.node(stream.sink.node), FIFO | DWC):
        stream = graph.ports(node)["o"]
    return stream.sink
