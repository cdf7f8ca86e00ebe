"""FIFO depths that lose no throughput, the smallest ones, found by the timing engine.

A folded MVAU takes a vector in its first fold and nothing in the later ones; without a buffer in front of it its producer waits for
that long. With the right one the graph's interval is its busiest unit's cycles, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from arbonn.errors import CheckError
from arbonn.flows.folding import Folding, apply_folding, unbuffered
from arbonn.hw.graph import DataflowGraph, Node, Ports
from arbonn.hw.units.mvau import MVAU
from arbonn.sim import timing

CUT_EVERY = 4  # MVAUs between FIFOs that cut the ready chain: a chain of 16 MVAUs runs at 145 MHz on an HX8K so, at 70 MHz without
CUT_DEPTH = 2  # the smallest FIFO that passes a word in every cycle


def busy(node: Node, ports: Ports) -> int:
    """Cycles that a frame keeps a unit busy; the greatest of a graph is its interval."""
    found = [s.transfers for s in ports.values()]
    for schedule in node.control(ports).schedules:
        mark = (*schedule.takes, *schedule.gives)[0]
        found.append(ports[mark.port].transfers // schedule.count(mark.when) * schedule.steps)
    return max(found)


def busy_cycles(graph: DataflowGraph) -> dict[str, int]:
    """`busy` of every unit."""
    return {node.id: busy(node, graph.ports(node)) for node in graph.nodes}


def interval(graph: DataflowGraph) -> Fraction | None:
    """Cycles between frames in steady state, from the timing engine; None for a graph that deadlocks."""
    frames = 8 + 2 * len(graph.nodes)  # every unit may hold a frame or two before the pipeline is full
    try:
        return timing.interval(graph, frames)
    except CheckError:
        return None


def size_buffers(graph: DataflowGraph, folding: Folding) -> DataflowGraph:
    """The graph folded, with a FIFO on every stream that needs one for the full rate (saturated source, sink always ready).

    A unit with a buffer of its own (SWG) gets the least size that keeps the rate. Each depth and size is the least by itself: one less on
    any of them costs cycles, or ends in deadlock. FIFOs of depth 2 cut a long ready chain besides. Assumes that a deeper buffer never
    lowers the rate (but 1 against 0). The rate is what whole-frame buffers reach; in a chain that is the busiest unit's.
    """
    plain = unbuffered(graph)
    lanes = apply_folding(plain, folding)
    sizes = {node.id: node.sizes(lanes.ports(node)) for node in plain.nodes}
    chosen = {name: found[-1] for name, found in sizes.items() if found}
    order = [node.id for node in plain.ordered()]
    inner = [s for s in plain.streams if s.source and s.sink]
    inner.sort(key=lambda s: order.index(s.source.node) if s.source else 0)
    depths = {s.id: s.elements + 1 for s in inner}  # more than a whole frame: what a producer can be ahead
    goal = interval(apply_folding(_resized(plain, chosen), folding, depths))
    assert goal is not None, "deadlock with whole-frame buffers"

    def keeps(sizes: Mapping[str, int], depths: Mapping[str, int]) -> bool:
        return interval(apply_folding(_resized(plain, sizes), folding, depths)) == goal

    def with_depth(stream: str) -> Callable[[int], bool]:
        return lambda depth: keeps(chosen, {**depths, stream: depth})

    def with_size(node: str) -> Callable[[int], bool]:
        return lambda size: keeps({**chosen, node: size}, depths)

    for stream in inner:
        depths[stream.id] = _least(range(depths[stream.id] + 1), with_depth(stream.id))
    for name in order:
        if sizes[name]:
            chosen[name] = _least(sizes[name], with_size(name))
    mvaus = [node for node in plain.ordered() if isinstance(node, MVAU)]
    for node in mvaus[CUT_EVERY::CUT_EVERY]:
        stream = plain.ports(node)["i"]
        depths[stream.id] = max(depths[stream.id], CUT_DEPTH)
    return apply_folding(_resized(plain, chosen), folding, depths)


def _resized(graph: DataflowGraph, sizes: Mapping[str, int]) -> DataflowGraph:
    """The graph with other sizes of its units' own buffers."""
    return graph.with_nodes([n.sized(sizes[n.id]) if n.id in sizes else n for n in graph.nodes], graph.streams)


def _least(sizes: range, enough: Callable[[int], bool]) -> int:
    """The least size that is enough; the last one is known to be. Few are far from the first: steps that double, then bisection."""
    low, step = sizes[0], 1
    high = low
    while high < sizes[-1] and not enough(high):
        low, high, step = high + 1, min(high + step, sizes[-1]), 2 * step
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return high
