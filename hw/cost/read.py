"""What units cost together: synthesis leaves out what nobody reads, such as neurons that no connection of the next layer leads to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from arbonn.hw.cost.cost import Cost, Parts, priced
from arbonn.hw.graph import DataflowGraph, Node, Ports, Stream
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.thresholding import Thresholding
from arbonn.hw.units.unrolled_mvau import UnrolledMVAU

Read = NDArray[np.bool_]


def unit_costs(graph: DataflowGraph, target: str) -> dict[Node, Cost]:
    """The cost of each unit, in the order of the data. Raises GraphError for an unknown family."""
    read = channels_read(graph)
    found = {}
    for node in graph.ordered():
        ports = graph.ports(node)
        kept = next((read[stream.id] for name, stream in ports.items() if name in node.gives and stream.id in read), None)
        found[node] = node.cost(ports, target) if kept is None else priced(narrowed_parts(node, ports, target, kept), target)
    return found


def channels_read(graph: DataflowGraph) -> dict[str, Read]:
    """(C,) of each stream of which not all channels are read: which are. Only unrolled layers leave some unread."""
    found: dict[str, Read] = {}
    for node in reversed(graph.ordered()):
        ports = graph.ports(node)
        if isinstance(node, UnrolledMVAU):
            rows = found.get(ports["o"].id)
            read = np.any((node.weights if rows is None else node.weights[rows]) != 0, axis=0)
        elif isinstance(node, FIFO | Thresholding) and ports["o"].id in found:
            read = found[ports["o"].id]
        else:
            continue
        if not read.all():
            found[ports["i"].id] = read
    return found


def narrowed_parts(node: Node, ports: Ports, target: str, read: Read) -> Parts:
    """Parts of a unit of whose channels only some are read."""
    if isinstance(node, UnrolledMVAU):
        return node.parts_of(ports, np.flatnonzero(read).tolist())
    count = max(1, int(read.sum()))
    if isinstance(node, Thresholding):
        node = replace(node, thresholds=node.thresholds[read] if read.any() else node.thresholds[:1])
    return node.parts(_narrowed(ports, count), target)


def _narrowed(ports: Ports, channels: int) -> Mapping[str, Stream]:
    return {name: replace(stream, shape=(*stream.shape[:-1], channels), lanes=channels) for name, stream in ports.items()}
