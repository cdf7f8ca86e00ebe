"""Folded layers whose weights have two values as lists of connections, where that takes less of the device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from arbonn.flows.buffers import busy, busy_cycles
from arbonn.flows.fold import Room
from arbonn.flows.folding import apply_folding, entries, folding_of, port_lanes, unbuffered
from arbonn.flows.lowering.passes.base import Pass, swap
from arbonn.hw.graph import DataflowGraph, Node, Ports
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.sparse_mvau import SparseMVAU

MOST_PARALLEL = 32  # connections of a row in a step: each has a copy of the input


@dataclass(frozen=True)
class Sparse(Pass):
    """Replaces an MVAU of two-valued constant weights by a SparseMVAU that is as fast as the graph's busiest unit and takes less.

    Before  a folded graph with MVAU(weights of at most two values).
    After   SparseMVAU of the same values, with PE, SIMD and parallel of least cost; converters anew, no FIFOs.
    Keeps   every value, and the interval.    Needs  a folding; `size_buffers` after it.
    """

    name: ClassVar[str] = "sparse"
    room: Room

    def apply(self, graph: DataflowGraph) -> DataflowGraph:
        interval, folding = max(busy_cycles(graph).values()), folding_of(graph)
        plain, nodes = unbuffered(graph), dict[str, Node]()
        for node in plain.nodes:
            ports = graph.ports(node)
            if not isinstance(node, MVAU) or node.writable or len(np.unique(node.weights)) > 2:
                continue
            found = min(self._choices(node, ports, interval), key=lambda choice: choice[0], default=None)
            if found is not None and found[0] < self._share(node, ports):
                nodes[node.id], folding[node.id] = found[1], found[2]
        return apply_folding(swap(plain, nodes), folding)

    def _choices(self, node: MVAU, ports: Ports, interval: int) -> list[tuple[float, SparseMVAU, dict[str, int]]]:
        """Share of the device, unit and folding entry of each way that is fast enough with no more connections a step than it needs."""
        found = []
        for entry in entries(node, ports):
            lanes = port_lanes(node, ports, {node.id: entry})
            folded = {port: replace(stream, lanes=lanes[port]) for port, stream in ports.items()}
            for parallel in range(1, MOST_PARALLEL + 1):
                unit = SparseMVAU(
                    node.id, node.weights, node.weight_dtype, node.domain, node.thresholds, node.offset, parallel, origin=node.origin
                )
                if busy(unit, folded) <= interval:
                    found.append((self._share(unit, folded), unit, entry))
                    break
        return found

    def _share(self, node: MVAU | SparseMVAU, ports: Ports) -> float:
        """How much of the device a unit takes."""
        return self.room.share(node.cost(ports, self.room.target))
