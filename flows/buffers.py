"""FIFO depths that lose no throughput, the smallest ones, found by the timing engine.

A folded MVAU takes a vector in its first fold and nothing in the later ones; without a buffer in front of it its producer waits for
that long. With the right one the graph's interval is its busiest unit's cycles, exactly.
"""

from __future__ import annotations

from fractions import Fraction

from arbonn.errors import CheckError
from arbonn.flows.folding import Folding, apply_folding, unbuffered
from arbonn.hw.graph import DataflowGraph, Node, Ports
from arbonn.hw.units.mvau import MVAU
from arbonn.sim.timing import figures, predict

CUT_EVERY = 4  # MVAUs between FIFOs that cut the ready chain: a chain of 16 MVAUs runs at 145 MHz on an HX8K so, at 70 MHz without
CUT_DEPTH = 2  # the smallest FIFO that passes a word in every cycle


def busy(node: Node, ports: Ports) -> int:
    """Cycles that a frame keeps a unit busy; the greatest of a graph is its interval."""
    vectors = max(s.elements // s.shape[-1] for s in ports.values())
    steps = [schedule.steps for schedule in node.control(ports).schedules]
    return max([vectors * n for n in steps] + [s.transfers for s in ports.values()])


def busy_cycles(graph: DataflowGraph) -> dict[str, int]:
    """`busy` of every unit."""
    return {node.id: busy(node, graph.ports(node)) for node in graph.nodes}


def interval(graph: DataflowGraph) -> Fraction | None:
    """Cycles between frames in steady state, from the timing engine; None for a graph that deadlocks."""
    frames = 8 + 2 * len(graph.nodes)  # every unit may hold a frame or two before the pipeline is full
    try:
        return figures(graph, predict(graph, frames)).interval
    except CheckError:
        return None


def size_buffers(graph: DataflowGraph, folding: Folding) -> DataflowGraph:
    """The graph folded, with a FIFO on every stream that needs one for the full rate (saturated source, sink always ready).

    Each depth is the least by itself: one less on any of them costs cycles. FIFOs of depth 2 cut a long ready chain besides. Assumes
    that a deeper FIFO never lowers the rate.
    """
    plain = unbuffered(graph)
    goal = Fraction(max(busy_cycles(apply_folding(plain, folding)).values()))
    order = [node.id for node in plain.ordered()]
    inner = [s for s in plain.streams if s.source and s.sink]
    inner.sort(key=lambda s: order.index(s.source.node) if s.source else 0)
    depths = {s.id: s.elements + 1 for s in inner}  # more than a whole frame: what a producer can be ahead
    best = interval(apply_folding(plain, folding, depths))
    assert best == goal, f"interval {best} with whole-frame buffers, but no unit is busier than {goal} cycles"
    for stream in inner:
        low, high = 0, depths[stream.id]  # high is enough
        while low < high:
            middle = (low + high) // 2
            if interval(apply_folding(plain, folding, {**depths, stream.id: middle})) == goal:
                high = middle
            else:
                low = middle + 1
        depths[stream.id] = high
    mvaus = [node for node in plain.ordered() if isinstance(node, MVAU)]
    for node in mvaus[CUT_EVERY::CUT_EVERY]:
        stream = plain.ports(node)["i"]
        depths[stream.id] = max(depths[stream.id], CUT_DEPTH)
    return apply_folding(plain, folding, depths)
