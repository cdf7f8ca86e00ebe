"""The folding search: the cheapest folding under the cost model that is fast enough and fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import floor, lcm, log10
from typing import NamedTuple

from arbonn.errors import FitError
from arbonn.flows.buffers import busy, busy_cycles, size_buffers
from arbonn.flows.folding import Folding, apply_folding, entries, folding_of, port_lanes, unbuffered
from arbonn.flows.memories import with_blocks, without_blocks
from arbonn.hw.cost.cost import NOTHING
from arbonn.hw.cost.read import unit_costs
from arbonn.hw.graph import Cost, DataflowGraph, Node, Ports, Stream
from arbonn.hw.units.dwc import DWC


@dataclass(frozen=True)
class Room:
    """What a device leaves for the accelerator: LUTs, flip-flops and block RAMs of a family (`ice40`, …)."""

    target: str
    luts: int
    ffs: int
    brams: int

    def share(self, cost: Cost) -> float:
        """How much of the device a cost takes, all resources added: what the search makes small."""
        return cost.luts / self.luts + cost.ffs / self.ffs + cost.brams / max(1, self.brams)

    def holds(self, cost: Cost) -> bool:
        return cost.luts <= self.luts and cost.ffs <= self.ffs and cost.brams <= self.brams


Lanes = tuple[tuple[str, int], ...]  # of streams that wait for their taker, as their producer gives them
KEPT = 4096


class _Step(NamedTuple):
    """A unit's folding and, in a chain, those of the units before it."""

    node: str
    entry: dict[str, int]
    before: _Step | None


@dataclass(frozen=True)
class Fold:
    """The outcome: the folded graph, its cost estimate, its interval in cycles and the unit that sets it."""

    graph: DataflowGraph
    folding: Folding
    cost: Cost
    interval: int
    bottleneck: str


def total_cost(graph: DataflowGraph, target: str) -> Cost:
    """Estimated cost of all units. Raises GraphError for an unknown family."""
    return sum(unit_costs(graph, target).values(), NOTHING)


def measure(graph: DataflowGraph, target: str) -> Fold:
    """A folded graph with its figures."""
    busy = busy_cycles(graph)
    slowest = max(busy, key=lambda name: busy[name])
    return Fold(graph, folding_of(graph), total_cost(graph, target), busy[slowest], slowest)


def fold(graph: DataflowGraph, room: Room, max_interval: int, clock_mhz: float | None = None) -> Fold:
    """The cheapest folding (least share of the device) with an interval of at most `max_interval` cycles that fits `room`.

    Exhaustive for each unit, then a shortest path over the units in order, since the width converter between two units depends on both: of
    all foldings of the units so far, the cheapest is kept for each choice of lanes on the streams that still wait for their taker. Exact
    while these are at most `KEPT`. Raises FitError that says by how much nothing fits, or which unit cannot be as fast as asked; with
    the clock it tells a rate that fits.
    """
    plain = without_blocks(unbuffered(graph))
    best: dict[Lanes, tuple[float, _Step | None]] = {(): (0.0, None)}
    for node in along(plain):
        given = plain.ports(node)
        choices = [(entry, ports) for entry, ports in _choices(plain, node) if busy(node, ports) <= max_interval]
        if not choices:
            least = min(busy(node, ports) for _, ports in _choices(plain, node))
            raise FitError(
                f"{node.id} ({node.kind})", found=f"{least} cycles a frame even when fully parallel",
                allowed=f"{max_interval} cycles a frame, as asked", fix="ask for a lower rate",
            )  # fmt: skip
        taken = {given[p].id: p for p in node.takes if given[p].source}
        converters = dict[tuple[str, int, int], float]()
        following: dict[Lanes, tuple[float, _Step | None]] = {}
        for entry, ports in choices:
            own = room.share(node.cost(ports, room.target))
            new = tuple((given[p].id, ports[p].lanes) for p in node.gives if given[p].sink)
            for lanes, (share, step) in best.items():
                joined = share + own
                for stream, count in lanes:
                    if stream in taken:
                        wanted = ports[taken[stream]]
                        key = stream, count, wanted.lanes
                        if key not in converters:
                            converters[key] = room.share(_converter(count, wanted, room.target))
                        joined += converters[key]
                after = tuple(sorted((*(held for held in lanes if held[0] not in taken), *new)))
                if after not in following or joined < following[after][0]:
                    following[after] = joined, _Step(node.id, entry, step)
        best = dict(sorted(following.items(), key=lambda item: item[1][0])[:KEPT])
    chosen = _folding(min(best.values(), key=lambda item: item[0])[1])
    found = measure(with_blocks(size_buffers(plain, chosen), room.target, room.luts, room.brams), room.target)
    if not room.holds(found.cost):
        raise FitError(
            "folding",
            found=f"the cheapest folding of {max_interval} cycles a frame needs about {_need(found.cost, room)}",
            allowed=f"{room.luts} LUTs, {room.ffs} flip-flops, {room.brams} block RAMs",
            fix=_advice(plain, room, max_interval, clock_mhz),
        )
    return found


def _need(cost: Cost, room: Room | None = None) -> str:
    """A cost in words; with a room, how much of each is too many."""
    words = []
    for kind, what in (("luts", "LUTs"), ("ffs", "flip-flops"), ("brams", "block RAMs")):
        count = round(getattr(cost, kind))
        over = 0 if room is None else count - getattr(room, kind)
        words.append(f"{count} {what}" + (f" ({over} too many)" if over > 0 else ""))
    return ", ".join(words)


def rate(interval: int, clock_mhz: float) -> str:
    """The frames a second of an interval, as `--target-fps` takes them: four digits, rounded down, so that the interval still suffices."""
    frames = clock_mhz * 1e6 / interval
    step = 10.0 ** (floor(log10(frames)) - 3)
    return f"{floor(frames / step) * step:.10g}"


def _advice(graph: DataflowGraph, room: Room, interval: int, clock_mhz: float | None) -> str:
    """Which slower folding would fit, if any."""
    slowest = max(busy_cycles(apply_folding(graph, {})).values())
    while interval < slowest:
        interval = min(2 * interval, slowest)
        try:
            found = fold(graph, room, interval)
        except FitError:
            continue
        ask = "ask for that rate" if clock_mhz is None else f"lower it with --target-fps {rate(found.interval, clock_mhz)}"
        return f"{found.interval} cycles a frame fit (about {_need(found.cost)}): {ask}, or take a larger board"
    return "no folding of this network fits: take a larger board or a smaller network"


def _choices(graph: DataflowGraph, node: Node) -> Iterator[tuple[dict[str, int], Ports]]:
    """Every folding of one unit, with the unit's streams under it."""
    ports = graph.ports(node)
    for entry in entries(node, ports):
        lanes = port_lanes(node, ports, {node.id: entry})
        yield entry, {port: replace(stream, lanes=lanes[port]) for port, stream in ports.items()}


def _converter(given: int, taken: Stream, target: str) -> Cost:
    """Cost of the width converter on a stream whose producer gives other lanes than are taken; nothing where they are equal."""
    wide, before, total = lcm(given, taken.lanes), given, NOTHING  # as `apply_folding` puts them
    for after in [wide] * (given < wide) + [taken.lanes] * (wide > taken.lanes):
        total += DWC("dwc").cost({"i": replace(taken, lanes=before), "o": replace(taken, lanes=after)}, target)
        before = after
    return total


def along(graph: DataflowGraph) -> list[Node]:
    """Producers before consumers, and each branch to its end before the next one: few streams are open at a time."""
    feeds = {n.id: {s.source.node for s in graph.streams if s.source and s.sink and s.sink.node == n.id} for n in graph.nodes}
    done, waiting = list[str](), [n.id for n in reversed(graph.ordered()) if not feeds[n.id]]
    while waiting:
        name = waiting.pop()
        done.append(name)
        sinks = [s.sink.node for s in graph.streams if s.sink and s.source and s.source.node == name]
        waiting += [n for n in dict.fromkeys(sinks) if feeds[n] <= set(done)]
    return [graph.node(name) for name in done]


def _folding(step: _Step | None) -> dict[str, Mapping[str, int]]:
    found: dict[str, Mapping[str, int]] = {}
    while step is not None:
        found[step.node] = step.entry
        step = step.before
    return dict(reversed(found.items()))
