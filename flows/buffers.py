"""FIFO depths that lose no throughput, the smallest ones, found by the timing engine.

A folded MVAU takes a vector in its first fold and nothing in the later ones; without a buffer in front of it its producer waits for
that long. With the right one the graph's interval is its busiest unit's cycles, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from arbonn.errors import CheckError
from arbonn.flows.folding import Folding, apply_folding, unbuffered
from arbonn.hw.graph import DataflowGraph, Node, Ports, Stream
from arbonn.hw.units.mvau import MVAU
from arbonn.sim import timing

CUT_EVERY = 4  # MVAUs between FIFOs that cut the ready chain: a chain of 16 MVAUs runs at 145 MHz on an HX8K so, at 70 MHz without
MOST_TRANSFERS = 1 << 22  # of a run that waits for its steady state; most end after some frames
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


def interval(graph: DataflowGraph, frames: int = 0) -> Fraction | None:
    """Cycles between frames in steady state, from the timing engine; None for a graph that deadlocks."""
    frames = frames or 8 + 2 * len(graph.nodes)  # every unit may hold a frame or two before the pipeline is full
    try:
        return timing.interval(graph, frames)
    except CheckError:
        return None


def deadlocks(graph: DataflowGraph, frames: int) -> bool:
    """Whether a graph deadlocks within so many frames for some pattern of stalls at its ends."""
    try:
        timing.predict(graph, frames, shallow=True)
    except CheckError:
        return True
    return False


def size_buffers(graph: DataflowGraph, folding: Folding) -> DataflowGraph:
    """The graph folded, with a FIFO on every stream that needs one for the rate of its busiest unit (saturated source, sink always ready).

    A unit with a buffer of its own (SWG) gets the least size that keeps the rate. Each depth and size is the least by itself: one less on
    any of them costs cycles, or ends in deadlock. FIFOs of depth 2 cut a long ready chain besides. Assumes that a deeper buffer never
    lowers the rate (but 1 against 0). Where branches meet again, no stalls at the graph's ends can make it deadlock.

    Depths are found on parts of the graph: what a part cannot do with a full source and a sink that is always ready, it cannot do in the
    whole graph, so no depth is too small for that. That all parts together keep the rate is then tried on the whole; where they do not,
    depths are raised there.
    """
    sizer = _Sizer(unbuffered(graph), folding)
    sizer.parts()
    if not sizer.keeps(None):
        sizer.whole()
    mvaus = [node for node in sizer.plain.ordered() if isinstance(node, MVAU)]
    for node in mvaus[CUT_EVERY::CUT_EVERY]:
        stream = sizer.plain.ports(node)["i"]
        sizer.depths[stream.id] = max(sizer.depths[stream.id], CUT_DEPTH)
    return apply_folding(_resized(sizer.plain, sizer.sizes), folding, sizer.depths)


class _Sizer:
    """Depths of FIFOs by stream and sizes of units' own buffers, at first larger than any need, then one by one the least."""

    def __init__(self, plain: DataflowGraph, folding: Folding) -> None:
        self.plain, self.folding = plain, folding
        lanes = apply_folding(plain, folding)
        self.busy = busy_cycles(lanes)
        self.goal = max(self.busy.values())
        self.ranges = {node.id: found for node in plain.ordered() if (found := node.sizes(lanes.ports(node)))}
        self.sizes = {name: found[-1] for name, found in self.ranges.items()}
        order = {node.id: k for k, node in enumerate(plain.ordered())}
        self.inner = sorted((s for s in plain.streams if s.source and s.sink), key=lambda s: order[s.source.node] if s.source else 0)
        # A branch may be ahead by a frame for each unit beside it.
        self.most = {s.id: (s.elements + 1) * len(plain.nodes) for s in self.inner}
        self.depths = dict(self.most)

    def parts(self) -> None:
        """Sizes every buffer in the part of the graph around it.

        A FIFO is a cycle of latency, which another branch has to hold: where one has become a wire, others may need less than was found.
        """
        homes = components(self.plain)
        around = {stream.id: self.part(self.around(stream, homes)) for stream in self.inner}
        for stream in self.inner:
            self.least_depth(stream.id, around[stream.id], range(self.most[stream.id] + 1))
        for name in self.ranges:
            self.least_size(name, self.part(self.paced(homes[name], homes)))
        changed = True
        while changed:
            changed = False
            for stream in self.inner:
                changed |= self.depths[stream.id] > 0 and self.less(stream.id, around[stream.id])

    def less(self, stream: str, part: DataflowGraph) -> bool:
        """Makes a FIFO less deep if that costs nothing; True if so."""
        depth = self.depths[stream]
        self.depths[stream] = depth - 1
        if not self.keeps(part):
            self.depths[stream] = depth
            return False
        self.least_depth(stream, part, range(depth))
        return True

    def around(self, stream: Stream, homes: Mapping[str, frozenset[str]]) -> frozenset[str]:
        """The units on which a stream's depth depends: those at its ends; where branches meet also what paces the frames in front."""
        assert stream.source is not None
        assert stream.sink is not None
        ends = homes[stream.source.node] | homes[stream.sink.node]
        return self.paced(ends, homes) if homes[stream.source.node] == homes[stream.sink.node] else ends

    def whole(self) -> None:
        """Raises what is too small only in the whole graph: the units' own buffers if these are enough, else FIFOs first."""
        found, sizes = dict(self.depths), dict(self.sizes)
        self.sizes = {name: every[-1] for name, every in self.ranges.items()}
        if not self.keeps(None):
            self.depths = dict(self.most)
            for stream in self.inner:
                self.least_depth(stream.id, None, range(found[stream.id], self.most[stream.id] + 1))
        for name in self.ranges:
            self.least_size(name, None, sizes[name])

    def least_depth(self, stream: str, part: DataflowGraph | None, depths: range) -> None:
        def enough(depth: int) -> bool:
            self.depths[stream] = depth
            return self.keeps(part)

        self.depths[stream] = _least(depths, enough)

    def least_size(self, name: str, part: DataflowGraph | None, first: int = 0) -> None:
        def enough(size: int) -> bool:
            self.sizes[name] = size
            return self.keeps(part)

        every = self.ranges[name]
        self.sizes[name] = _least(range(max(first, every[0]), every[-1] + 1), enough)

    def keeps(self, part: DataflowGraph | None) -> bool:
        """True where a part of the graph, or all of it, is as fast as the busiest unit of the graph."""
        graph = part or self.plain
        folded = apply_folding(_resized(graph, self.sizes), self.folding, self.depths, checked=part is None)
        try:
            # A first run tells how many frames are under way at once: as many again, and some, until all buffers are as full as they get.
            begun = -(-timing.figures(folded, timing.predict(folded, 1)).latency // self.goal)
        except CheckError:
            return False
        # Units of nearly the same pace fill a buffer by a few cycles a frame: the whole runs until its state comes back.
        patient = MOST_TRANSFERS // sum(s.transfers for s in folded.streams) if part is None else 0
        found = interval(folded, max(8 + 2 * begun, patient))
        return found is not None and found <= self.goal and not (forks(graph) and deadlocks(folded, 8 + 2 * begun))

    def part(self, names: Collection[str]) -> DataflowGraph:
        """Some units, their streams, and what lies between them and the others as inputs and outputs."""
        nodes = [node for node in self.plain.nodes if node.id in names]
        streams = []
        for s in self.plain.streams:
            source, sink = (end if end and end.node in names else None for end in (s.source, s.sink))
            if source or sink:
                streams.append(replace(s, source=source, sink=sink))
        return self.plain.with_nodes(nodes, streams)

    def paced(self, part: frozenset[str], homes: Mapping[str, frozenset[str]]) -> frozenset[str]:
        """A part with those in front of it up to the first that sets a pace, and the one behind it."""
        ends = [(s.source.node, s.sink.node) for s in self.inner if s.source and s.sink]
        front = part
        while not any(2 * self.busy[name] > self.goal for name in front - part):
            wider = front.union(*(homes[a] for a, b in ends if b in front))
            if wider == front:
                break
            front = wider
        return front.union(*(homes[b] for a, b in ends if a in part))


def components(graph: DataflowGraph) -> dict[str, frozenset[str]]:
    """For each unit those that stay with it whichever one stream is cut: a fork, its branches and where they meet are one part."""
    edges = [(s.source.node, s.sink.node) for s in graph.streams if s.source and s.sink]
    bridges = {k for k in range(len(edges)) if edges[k][1] not in _reached(edges[k][0], edges[:k] + edges[k + 1 :])}
    kept = [edge for k, edge in enumerate(edges) if k not in bridges]
    return {node.id: frozenset(_reached(node.id, kept)) for node in graph.nodes}


def forks(graph: DataflowGraph) -> bool:
    """Whether branches part, which may meet again."""
    inner = [s.source.node for s in graph.streams if s.source and s.sink]
    return len(set(inner)) < len(inner)


def _reached(start: str, edges: Sequence[tuple[str, str]]) -> set[str]:
    beside = dict[str, list[str]]()
    for a, b in edges:
        beside.setdefault(a, []).append(b)
        beside.setdefault(b, []).append(a)
    found, waiting = {start}, [start]
    while waiting:
        new = [name for name in beside.get(waiting.pop(), ()) if name not in found]
        found.update(new)
        waiting += new
    return found


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
