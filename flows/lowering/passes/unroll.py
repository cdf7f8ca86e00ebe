"""Matrix units whose weights become wiring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from arbonn.errors import FitError, LoweringError
from arbonn.flows.cmvm import MOST_MEMORY, MOST_WEIGHTS, PRIMITIVES, memory_estimate
from arbonn.flows.folding import Folding, apply_folding, entries, unbuffered
from arbonn.flows.lowering.passes.base import Pass, swap
from arbonn.flows.progress import Report, silent
from arbonn.hw.cmvm.layer import single_tables
from arbonn.hw.cmvm.weighted import parts_of
from arbonn.hw.graph import DataflowGraph, Node, Ports
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.unrolled_mvau import MOVES, WIDEST, UnrolledMVAU

STAGE_LEVELS = 3  # most LUT levels in a pipeline stage, where one cell does not hold more itself
LEAST_LUTS = 0.12  # for each connection and bit of its input: chosen well below the 0.2 and more that were measured, no proved bound


@dataclass(frozen=True)
class Unroll(Pass):
    """Gives every MVAU hardware of its own for each weight: a vector a cycle.

    Before  MVAU(weights, thresholds).
    After   UnrolledMVAU of the same parameters, pipelined to at most 3 LUT levels a stage; all streams with all lanes.
    Keeps   every value.    Needs  weights and inputs of at most 8 bits, and no run-time parameters.

    The search of a layer that would take longer than `seconds` gets fewer moves; how many stands in the unit, so that the graph alone says
    what hardware it is. Raises LoweringError or FitError for what is too large, before any search.
    """

    name: ClassVar[str] = "unroll"
    target: str = "xc7"
    seed: int = 0
    seconds: float = 60.0
    max_luts: int | None = None
    report: Report = silent

    def apply(self, graph: DataflowGraph) -> DataflowGraph:
        graph = apply_folding(graph, widest(graph))
        units = [node for node in graph.nodes if isinstance(node, MVAU)]
        luts = 0.0
        for unit in units:
            luts += LEAST_LUTS * self._connections(unit, graph.ports(unit))
        if self.max_luts is not None and luts > self.max_luts:
            raise FitError(
                "--unrolled", found=f"{len(units)} layers of at least {luts:.0f} LUTs together, before any search",
                allowed=f"{self.max_luts} LUTs", fix="fold the network, or train it with fewer connections (method sbnn, `fan_in`)",
            )  # fmt: skip
        nodes: dict[str, Node] = {}
        for unit in units:
            nodes[unit.id] = self._unrolled(unit, graph.ports(unit))
        moves = ", ".join(str(node.moves) for node in nodes.values() if isinstance(node, UnrolledMVAU))
        graph = replace(graph, provenance={**graph.provenance, "unrolled": f"for {self.target}, seed {self.seed}, moves an output {moves}"})
        return swap(graph, nodes)

    def _connections(self, unit: MVAU, ports: Ports) -> int:
        """Weights that cost something, each for every bit of its input. Raises LoweringError for a layer that no search should begin."""
        i, widest = ports["i"].dtype, max(ports["i"].dtype.bits, unit.weight_dtype.bits)
        if widest > WIDEST or unit.writable:
            found = "run-time parameters" if unit.writable else f"{i} inputs and {unit.weight_dtype} weights"
            raise LoweringError(
                f"{unit.id} (MVAU)", found=found, allowed=f"constant weights, and at most {WIDEST} bits", fix="leave out --unrolled"
            )
        columns = parts_of(np.ascontiguousarray(unit.weights.T)).columns
        repeated = 1 if unit.thresholds is None or i.bits > 1 else unit.thresholds.shape[1]
        tabled = single_tables(columns) if unit.thresholds is not None and i.bits == 1 else np.zeros(columns.shape[1], dtype=bool)
        inputs, outputs = columns.shape[0], int((~tabled).sum()) * repeated
        memory = memory_estimate(inputs, outputs, None)
        connections = int(np.count_nonzero(columns)) * i.bits
        if memory > MOST_MEMORY or inputs * outputs > MOST_WEIGHTS:
            raise LoweringError(
                f"{unit.id} (MVAU)",
                found=f"{inputs} x {outputs} weights to unroll: {memory / (1 << 30):.1f} GiB, {LEAST_LUTS * connections:.0f} LUTs or more",
                allowed=f"{MOST_WEIGHTS} weights and {MOST_MEMORY >> 30} GiB a layer",
                fix="fold the network: leave out --unrolled",
            )
        return connections

    def _unrolled(self, unit: MVAU, ports: Ports) -> UnrolledMVAU:
        result = UnrolledMVAU(
            unit.id, unit.weights, unit.weight_dtype, unit.domain, unit.thresholds, unit.offset, seed=self.seed,
            primitives=self.target in PRIMITIVES, origin=unit.origin,
        )  # fmt: skip
        layer = result.layer(ports, seconds=self.seconds, report=self._of(unit))
        moves = MOVES
        while layer.stopped and moves:
            moves //= 4
            result = replace(result, moves=moves)
            layer = result.layer(ports, seconds=self.seconds if moves else float("inf"), report=self._of(unit))
        depth = max(1, -(-layer.netlist.counts().levels // STAGE_LEVELS))
        while replace(result, depth=depth).stages(ports).levels > STAGE_LEVELS:
            depth += 1
        return replace(result, depth=depth)

    def _of(self, unit: MVAU) -> Callable[[float], None]:
        return lambda done: self.report(f"unroll {unit.id}", done)


def widest(graph: DataflowGraph) -> Folding:
    """The folding in which every unit works on all the lanes that it can have."""
    return {node.id: list(entries(node, graph.ports(node)))[-1] for node in unbuffered(graph).nodes}
