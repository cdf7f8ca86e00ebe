"""What each unit of a graph does, holds, costs and how much of the time it is busy."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from arbonn.flows.buffers import busy_cycles, interval
from arbonn.flows.folding import folding_of
from arbonn.hw.cost.read import unit_costs
from arbonn.hw.graph import DataflowGraph, Node
from arbonn.hw.units.fifo import FIFO

HEAD = (
    "unit", "kind", "takes", "gives", "PE", "SIMD", "depth", "operations a frame", "weight bits",
    "LUTs (estimated)", "flip-flops", "memory bits", "block RAMs", "busy cycles a frame", "busy, % of the time",
    "from",
)  # fmt: skip


@dataclass(frozen=True)
class Layers:
    """A table in the order of HEAD; `interval` is the graph's, in cycles, by which the share of the time is of."""

    rows: list[list[object]]
    interval: Fraction


def layers(graph: DataflowGraph, family: str) -> Layers:
    """Every unit in the order of the data. Raises CheckError for a graph that deadlocks, by its interval's engine."""
    busy, folding, costs = busy_cycles(graph), folding_of(graph), unit_costs(graph, family)
    cycles = interval(graph) or Fraction(max(busy.values()))
    rows = list[list[object]]()
    for node in graph.ordered():
        cost, entry = costs[node], folding.get(node.id, {})
        depth = node.depth if isinstance(node, FIFO) else None
        time = busy[node.id], round(float(100 * busy[node.id] / cycles), 1)
        rows.append(
            [
                node.id, node.kind, *(_shapes(graph, node, names) for names in (node.takes, node.gives)),
                entry.get("PE"), entry.get("SIMD"), depth, operations(graph, node), weight_bits(node),
                round(cost.luts), cost.ffs, cost.memory_bits, cost.brams, *time, ", ".join(node.origin),
            ]
        )  # fmt: skip
    return Layers(rows, cycles)


def operations(graph: DataflowGraph, node: Node) -> int | None:
    """Products and additions of a linear unit on one frame: two a weight and position; None for other units."""
    weights = getattr(node, "weights", None)
    if not isinstance(weights, np.ndarray):
        return None
    return 2 * weights.size * graph.ports(node)["o"].elements // len(weights)


def weight_bits(node: Node) -> int | None:
    """Bits of the stored weights."""
    weights, dtype = getattr(node, "weights", None), getattr(node, "weight_dtype", None)
    return int(weights.size * dtype.bits) if isinstance(weights, np.ndarray) and dtype is not None else None


def _shapes(graph: DataflowGraph, node: Node, names: tuple[str, ...]) -> str:
    ports = graph.ports(node)
    return ", ".join(f"{'x'.join(map(str, ports[n].shape))} {ports[n].dtype}" for n in names)
