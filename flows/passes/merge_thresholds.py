"""Thresholds into the unit that accumulates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from arbonn.flows.passes.base import Pass, bypass, swap
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.thresholding import Thresholding


@dataclass(frozen=True)
class MergeThresholds(Pass):
    """Gives the thresholds of a Thresholding straight behind an MVAU to the MVAU.

    Before  MVAU(no thresholds) -> Thresholding(thresholds, offset).    After  MVAU(thresholds, offset); its stream keeps the MVAU's name.
    Keeps   every value behind the Thresholding.    Needs  nothing.
    """

    name: ClassVar[str] = "merge-thresholds"

    def apply(self, graph: DataflowGraph) -> DataflowGraph:
        for unit in graph.nodes:
            if not isinstance(unit, Thresholding):
                continue
            ports = graph.ports(unit)
            source = ports["i"].source
            mvau = graph.node(source.node) if source else None
            if isinstance(mvau, MVAU) and mvau.thresholds is None:
                merged = replace(mvau, thresholds=unit.thresholds, offset=unit.offset, origin=(*mvau.origin, *unit.origin))
                graph = swap(bypass(graph, unit, replace(ports["o"], id=ports["i"].id)), {mvau.id: merged})
        return graph
