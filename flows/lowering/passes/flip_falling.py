"""Rows whose function falls, made rising by negated weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from arbonn.flows.lowering.passes.base import Pass, swap
from arbonn.flows.lowering.weights import matrix_of
from arbonn.hw.datatypes import smallest
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.vvau import VVAU


@dataclass(frozen=True)
class FlipFalling(Pass):
    """Negates the weights of the rows whose Lookup falls, and turns their table round, where that makes all rows rise.

    Before  MVAU or VVAU(weights, no thresholds) -> Lookup(table), each row rising or falling, one of them falling.
    After   the same two units; weights and table of those rows negated and mirrored, so that every row of the table rises.
    Keeps   the Lookup's output at every input of the unit: acc' = from_dot(-to_dot(acc)).    Needs  the Lookup straight behind the unit.
    """

    name: ClassVar[str] = "flip-falling"

    def apply(self, graph: DataflowGraph) -> DataflowGraph:
        for lookup in graph.nodes:
            if not isinstance(lookup, Lookup):
                continue
            inner = graph.ports(lookup)["i"]
            source = graph.node(inner.source.node) if inner.source else None
            if isinstance(source, MVAU | VVAU) and source.thresholds is None:
                graph = self._rewrite(graph, source, lookup)
        return graph

    def _rewrite(self, graph: DataflowGraph, unit: MVAU | VVAU, lookup: Lookup) -> DataflowGraph:
        table = np.broadcast_to(lookup.table, (len(unit.weights), lookup.table.shape[1]))
        rises = np.all(table[:, 1:] >= table[:, :-1], axis=1)
        falls = np.all(table[:, 1:] <= table[:, :-1], axis=1)
        flip = falls & ~rises
        if not flip.any() or not (rises | falls).all():
            return graph
        stream, inner = graph.ports(unit)["i"].dtype, graph.ports(lookup)["i"]
        weights = np.where(flip[:, None], -unit.weights, unit.weights)
        kind = unit.weight_dtype if unit.weight_dtype.name == "BIPOLAR" else smallest(int(weights.min()), int(weights.max()))
        flipped = replace(unit, weights=weights, weight_dtype=kind)
        low, high = matrix_of(flipped).accumulator_range(stream.low, stream.high, stream)
        acc = np.arange(low.min(), high.max() + 1)[:, None].clip(low, high)  # (levels, rows): what a row never reaches is held
        # In both domains the accumulators of a row and of its negation have a constant sum.
        total = ((1 << stream.bits) - 1) * unit.weights.shape[1] if unit.domain == "popcount" else 0
        before = np.where(flip, total - acc, acc) - lookup.low
        turned = np.take_along_axis(table, before.T.clip(0, table.shape[1] - 1), axis=1)
        acc_type = smallest(int(low.min()), int(high.max()))
        return swap(
            graph,
            {unit.id: flipped, lookup.id: replace(lookup, table=turned, low=int(low.min()))},
            {inner.id: replace(inner, dtype=acc_type)},
        )
