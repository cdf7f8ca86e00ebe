"""Thresholds into the unit that accumulates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from arbonn.flows.lowering.passes.base import Pass, bypass, swap
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.thresholding import Thresholding
from arbonn.hw.units.vvau import VVAU


@dataclass(frozen=True)
class MergeThresholds(Pass):
    """Gives the thresholds of a Thresholding straight behind an MVAU or VVAU to that unit.

    Before  MVAU or VVAU(no thresholds) -> Thresholding(thresholds, offset).
    After   the same unit with thresholds and offset; its stream keeps its name.
    Keeps   every value behind the Thresholding.    Needs  nothing.
    """

    name: ClassVar[str] = "merge-thresholds"

    def apply(self, graph: DataflowGraph) -> DataflowGraph:
        for unit in graph.nodes:
            if not isinstance(unit, Thresholding):
                continue
            ports = graph.ports(unit)
            source = ports["i"].source
            before = graph.node(source.node) if source else None
            if isinstance(before, MVAU | VVAU) and before.thresholds is None:
                merged = replace(before, thresholds=unit.thresholds, offset=unit.offset, origin=(*before.origin, *unit.origin))
                graph = swap(bypass(graph, unit, replace(ports["o"], id=ports["i"].id)), {before.id: merged})
        return graph
