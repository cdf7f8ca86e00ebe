"""The folding search: the cheapest folding under the cost model that is fast enough and fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from arbonn.errors import FitError
from arbonn.flows.buffers import busy, busy_cycles, size_buffers
from arbonn.flows.folding import Folding, apply_folding, entries, folding_of, port_lanes, unbuffered
from arbonn.hw.graph import Cost, DataflowGraph, Node, Ports
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


@dataclass(frozen=True)
class Fold:
    """The outcome: the folded graph, its cost estimate, its interval in cycles and the unit that sets it."""

    graph: DataflowGraph
    folding: Folding
    cost: Cost
    interval: int
    bottleneck: str


def total_cost(graph: DataflowGraph, target: str) -> Cost:
    """Estimated cost of all units."""
    total = Cost(0, 0, 0, 0, "sum of units")
    for node in graph.nodes:
        total += node.cost(graph.ports(node), target)
    return total


def measure(graph: DataflowGraph, target: str) -> Fold:
    """A folded graph with its figures."""
    busy = busy_cycles(graph)
    slowest = max(busy, key=lambda name: busy[name])
    return Fold(graph, folding_of(graph), total_cost(graph, target), busy[slowest], slowest)


def fold(graph: DataflowGraph, room: Room, max_interval: int) -> Fold:
    """The cheapest folding (least share of the device) with an interval of at most `max_interval` cycles that fits `room`.

    Exhaustive for each unit, then a shortest path along the chain, since the width converter between two units depends on both. Raises
    FitError that says by how much nothing fits, or which unit cannot be as fast as asked.
    """
    plain = unbuffered(graph)
    best: dict[str, tuple[float, Folding]] = {"": (0.0, {})}
    for node in plain.ordered():
        following: dict[str, tuple[float, Folding]] = {}
        for entry, ports in _choices(plain, node):
            if busy(node, ports) > max_interval:
                continue
            own = room.share(node.cost(ports, room.target))
            for share, folding in best.values():
                joined = share + own + room.share(_converters(plain, node, ports, folding, room.target))
                if str(entry) not in following or joined < following[str(entry)][0]:
                    following[str(entry)] = (joined, {**folding, node.id: entry})
        if not following:
            least = min(busy(node, ports) for _, ports in _choices(plain, node))
            raise FitError(
                f"{node.id} ({node.kind})", found=f"{least} cycles a frame even when fully parallel",
                allowed=f"{max_interval} cycles a frame, as asked", fix="ask for a lower rate",
            )  # fmt: skip
        best = following
    chosen = min(best.values(), key=lambda item: item[0])[1]
    found = measure(size_buffers(plain, chosen), room.target)
    if not room.holds(found.cost):
        raise FitError(
            "folding",
            found=f"the cheapest folding of {max_interval} cycles a frame needs about {_need(found.cost)}",
            allowed=f"{room.luts} LUTs, {room.ffs} flip-flops, {room.brams} block RAMs",
            fix=_advice(plain, room, max_interval),
        )
    return found


def _need(cost: Cost) -> str:
    return f"{cost.luts:.0f} LUTs, {cost.ffs} flip-flops, {cost.brams} block RAMs"


def _advice(graph: DataflowGraph, room: Room, interval: int) -> str:
    """Which slower folding would fit, if any."""
    slowest = max(busy_cycles(apply_folding(graph, {})).values())
    while interval < slowest:
        interval = min(2 * interval, slowest)
        try:
            found = fold(graph, room, interval)
        except FitError:
            continue
        return f"{found.interval} cycles a frame fit (about {_need(found.cost)}): ask for that rate, or take a larger board"
    return "no folding of this network fits: take a larger board or a smaller network"


def _choices(graph: DataflowGraph, node: Node) -> Iterator[tuple[dict[str, int], Ports]]:
    """Every folding of one unit, with the unit's streams under it."""
    ports = graph.ports(node)
    for entry in entries(node, ports):
        lanes = port_lanes(node, ports, {node.id: entry})
        yield entry, {port: replace(stream, lanes=lanes[port]) for port, stream in ports.items()}


def _converters(graph: DataflowGraph, node: Node, ports: Ports, folding: Folding, target: str) -> Cost:
    """Cost of the width converters in front of a unit, from the lanes its producers give under `folding`."""
    total = Cost(0, 0, 0, 0, "")
    for port in node.takes:
        taken, source = ports[port], ports[port].source
        if source and source.node in folding:
            producer = graph.node(source.node)
            given = port_lanes(producer, graph.ports(producer), folding)[source.port]
            if given != taken.lanes:
                total += DWC("dwc").cost({"i": replace(taken, lanes=given), "o": taken}, target)
    return total
