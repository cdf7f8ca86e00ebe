"""Why nothing moves any more: which unit waits for which, and the cycle in which they wait for each other.

A schedule that cannot fire waits for the unit that should take what it gives, for the unit that should give what it takes, or for a
counter, which other schedules of its own unit change. In a deadlock these waits close a cycle, as where a fork cannot give to one
branch because the join behind it waits for the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from arbonn.hw.graph import DataflowGraph, Node, Stream
from arbonn.hw.schedule import Control, Mark, Schedule

Place = tuple[str, int]  # a unit and the number of its schedule; a buffer's is 0


@dataclass(frozen=True)
class State:
    """A cycle in which nothing moved: of each stream, of each schedule and of each counter, both in the order of `placed`."""

    valid: Mapping[str, bool]
    ready: Mapping[str, bool]
    steps: Sequence[int]
    counters: Sequence[int]


class Wait(NamedTuple):
    """`unit` waits for `other` to `action` (take or give) on `what`, a stream; or for a counter of its own (count)."""

    unit: Place
    other: Place
    action: str
    what: str

    def __str__(self) -> str:
        if self.action == "count":
            return f"{self.unit[0]} waits for its count of {self.what}"
        other = self.other[0] or "the graph's end"
        return f"{self.unit[0]} waits for {other} to {self.action} {self.what}"


def placed(graph: DataflowGraph) -> Iterator[tuple[Node, Control]]:
    """Units in the order in which the timing engine steps them: readies are known before those of the units that feed them."""
    for node in reversed(graph.ordered()):
        yield node, node.control(graph.ports(node))


def waits(graph: DataflowGraph, state: State) -> list[Wait]:
    """What each unit waits for."""
    found, numbers, first = list[Wait](), iter(state.steps), 0
    controls = {node.id: control for node, control in placed(graph)}
    for node, control in placed(graph):
        ports = graph.ports(node)
        if control.buffer:
            i, o = ports["i"], ports["o"]
            if not state.ready[i.id]:
                found.append(Wait((node.id, 0), _end(controls, o, gives=False), "take", o.id))
            elif not state.valid[o.id]:
                found.append(Wait((node.id, 0), _end(controls, i, gives=True), "give", i.id))
        counters = dict(zip(control.counters, state.counters[first : first + len(control.counters)], strict=True))
        first += len(control.counters)
        for k, schedule in enumerate(control.schedules):
            index = tuple(int(n) for n in np.unravel_index(next(numbers), schedule.bounds))
            here = (node.id, k)
            full = [s for s in _streams(schedule.gives, ports) if state.valid[s.id] and not state.ready[s.id]]
            found += [Wait(here, _end(controls, s, gives=False), "take", s.id) for s in full]
            for need in schedule.needs:
                level = sum(c * n for c, n in zip(need.coef, index, strict=True)) + need.const
                if all(cond.holds(index) for cond in need.when) and need.sign * counters[need.counter] < level:
                    others = [n for n, s in enumerate(control.schedules) if n != k and any(a.counter == need.counter for a in s.adds)]
                    found += [Wait(here, (node.id, n), "count", need.counter) for n in others or [k]]
            taken = [m for m in schedule.takes if all(cond.holds(index) for cond in m.when)]
            found += [Wait(here, _end(controls, s, gives=True), "give", s.id) for s in _streams(taken, ports) if not state.valid[s.id]]
    return found


def explained(graph: DataflowGraph, state: State) -> tuple[list[Wait], bool]:
    """The waits of a cycle, each unit waiting for the next, and True; where there is none, a longest path of waits from an output."""
    by_unit: dict[Place, list[Wait]] = {}
    for wait in waits(graph, state):
        by_unit.setdefault(wait.unit, []).append(wait)
    controls = {node.id: control for node, control in placed(graph)}
    longest: list[Wait] = []
    for stream in graph.outputs:
        done: set[Place] = set()
        for path, closed in _paths(by_unit, _end(controls, stream, gives=True), done):
            if closed:
                start = next(k for k, wait in enumerate(path) if wait.unit == path[-1].other)
                return path[start:], True
            longest = max(longest, path, key=len)
    return longest, False


def _paths(by_unit: Mapping[Place, list[Wait]], start: Place, done: set[Place]) -> Iterator[tuple[list[Wait], bool]]:
    """Depth first: each path that ends, and whether it ends in itself."""
    stack: list[list[Wait]] = [[wait] for wait in reversed(by_unit.get(start, []))]
    while stack:
        path = stack.pop()
        end = path[-1].other
        if any(wait.unit == end for wait in path):
            yield path, path[-1].other != path[-1].unit
        elif end not in by_unit:
            yield path, False
        elif end not in done:
            done.add(end)
            stack += [[*path, wait] for wait in reversed(by_unit[end])]


def _streams(marks: Sequence[Mark], ports: Mapping[str, Stream]) -> list[Stream]:
    return [ports[m.port] for m in marks]


def _end(controls: Mapping[str, Control], stream: Stream, *, gives: bool) -> Place:
    """Who gives or takes on a stream; ("", 0) outside of the graph."""
    end = stream.source if gives else stream.sink
    if end is None:
        return "", 0

    def has(schedule: Schedule) -> bool:
        return any(m.port == end.port for m in (schedule.gives if gives else schedule.takes))

    return end.node, next((k for k, s in enumerate(controls[end.node].schedules) if has(s)), 0)
