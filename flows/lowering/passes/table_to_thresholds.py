"""Rising tables as thresholds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from arbonn.flows.lowering.passes.base import Pass, swap
from arbonn.hw.graph import DataflowGraph, Node, Stream
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.thresholding import Thresholding

FEW = 15  # thresholds a row: up to 4-bit outputs, as many comparators for each lane
MOST = 255  # an 8-bit output: still fewer LUTs than a table of more than LARGE bits
LARGE = 1 << 16


@dataclass(frozen=True)
class TableToThresholds(Pass):
    """Replaces a Lookup whose rows all rise by Thresholding; any other Lookup is left as it is.

    Before  Lookup(table (C or 1, R), low) of at most 15 steps, or of at most 255 where the table has more than 65,536 bits.
    After   Thresholding(thresholds (C, T), offset = the least value), T = greatest - least value.
    Keeps   the value at every integer in low .. low + R - 1.    Needs  nothing.
    """

    name: ClassVar[str] = "table-to-thresholds"

    def apply(self, graph: DataflowGraph) -> DataflowGraph:
        nodes: dict[str, Node] = {}
        streams: dict[str, Stream] = {}
        for node in graph.nodes:
            output = graph.ports(node).get("o")
            unit = self.rewrite(node, output) if isinstance(node, Lookup) and output else None
            if unit is not None and output is not None:
                nodes[node.id] = unit
                if output.id == f"{node.id}_o":  # an output of the graph keeps its name
                    streams[output.id] = replace(output, id=f"{unit.id}_o")
        return swap(graph, nodes, streams)

    def rewrite(self, node: Lookup, output: Stream) -> Thresholding | None:
        """The Thresholding that stands for a Lookup, or None."""
        table = node.table
        if (table[:, 1:] < table[:, :-1]).any():
            return None
        counts = output.dtype.encode(table) if output.dtype.name == "BIPOLAR" else table - table.min()
        offset = 0 if output.dtype.name == "BIPOLAR" else int(table.min())
        most = max(1, int(counts.max()))  # a constant table too gets a threshold, one that is never reached
        allowed = MOST if table.size * output.dtype.bits > LARGE else FEW
        if most > allowed or (output.dtype.name != "BIPOLAR" and offset + most > output.dtype.high):
            return None
        steps = np.arange(1, most + 1)
        # A level that a row never reaches gets a threshold just above the table: never reached either.
        rows = node.low + np.stack([np.searchsorted(row, steps) for row in counts])
        thresholds = np.broadcast_to(rows, (output.shape[-1], most)).astype(np.int64)
        return Thresholding(node.id.replace("lookup", "thresholding"), thresholds, offset, origin=node.origin)
