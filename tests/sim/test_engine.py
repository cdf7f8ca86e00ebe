"""The compiled engine against the definition: a plain stepper, written straight from the text of `arbonn.hw.schedule`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Cost, DataflowGraph, Endpoint, Node, Ports, Stream
from arbonn.hw.schedule import Add, Control, Mark, Need, Schedule
from arbonn.hw.unit_component import UnitComponent
from arbonn.hw.units.fifo import FIFO
from arbonn.sim.timing import step
from arbonn.sim.trace import Stalls, draw_stalls
from tests.networks import mlp
from tests.strategies import chains, seeds


class Nest:
    """One schedule as the text has it: where it stands, and its give marks on their way through the stages."""

    def __init__(self, schedule: Schedule, streams: Mapping[str, str], counters: dict[str, int]) -> None:
        self.schedule, self.streams, self.counters = schedule, streams, counters
        self.indices = list(schedule.indices())
        self.position = 0
        self.stages: dict[str, list[bool]] = {m.port: [False] * schedule.depth for m in schedule.gives}

    def here(self, marks: tuple[Mark, ...]) -> list[str]:
        index = self.indices[self.position]
        return [m.port for m in marks if all(c.holds(index) for c in m.when)]

    def needs_hold(self) -> bool:
        index = self.indices[self.position]
        for need in self.schedule.needs:
            level = sum(a * i for a, i in zip(need.coef, index, strict=True)) + need.const
            if all(c.holds(index) for c in need.when) and need.sign * self.counters[need.counter] < level:
                return False
        return True

    def settle(self, valid: Mapping[str, bool], ready: dict[str, bool]) -> None:
        """`move`, `fire`, and the readies of the taken ports."""
        self.move = all(not stages[-1] or ready[self.streams[p]] for p, stages in self.stages.items())
        taken, needs = self.here(self.schedule.takes), self.needs_hold()
        self.fire = self.move and needs and all(valid[self.streams[p]] for p in taken)
        for mark in self.schedule.takes:
            others = all(valid[self.streams[p]] for p in taken if p != mark.port)
            ready[self.streams[mark.port]] = self.move and mark.port in taken and needs and others

    def clock(self, ready: Mapping[str, bool], changes: dict[str, int]) -> None:
        """The edge at the end of the cycle; counters change by `changes`, once all schedules of the unit have seen the old value."""
        given_now = self.here(self.schedule.gives) if self.fire else []
        for port, stages in self.stages.items():
            if self.move:
                self.stages[port] = [port in given_now, *stages[:-1]]
            elif ready[self.streams[port]]:
                stages[-1] = False
        if self.fire:
            wraps, bounds, index = 0, self.schedule.bounds, self.indices[self.position]
            while wraps < len(bounds) and index[-1 - wraps] == bounds[-1 - wraps] - 1:
                wraps += 1
            for add in self.schedule.adds:
                if all(c.holds(index) for c in add.when):
                    changes[add.counter] = changes.get(add.counter, 0) + add.delta[wraps]
            self.position = (self.position + 1) % len(self.indices)


def plainly(graph: DataflowGraph, totals: Mapping[str, int], stalls: Stalls, cycles: int) -> dict[str, list[int]]:
    """The cycles of all transfers in the first `cycles` cycles."""
    units: list[tuple[list[Nest], dict[str, int]]] = []
    buffers: list[list[object]] = []
    for node in reversed(graph.ordered()):  # a unit's readies need those of its consumers
        ports, control = graph.ports(node), node.control(graph.ports(node))
        streams, counters = {p: s.id for p, s in ports.items()}, dict(control.counters)
        units.append(([Nest(s, streams, counters) for s in control.schedules], counters))
        if control.buffer:
            buffers.append([streams["i"], streams["o"], control.buffer, 0])
    go = {s.id: stalls.at(s.id, cycles) for s in (*graph.inputs, *graph.outputs)}
    pending = {s.id: False for s in graph.inputs}
    seen: dict[str, list[int]] = {s.id: [] for s in graph.streams}
    for t in range(cycles):
        valid, ready = {}, {}
        for s in graph.inputs:
            pending[s.id] = pending[s.id] or bool(go[s.id][t])
            valid[s.id] = pending[s.id] and len(seen[s.id]) < totals[s.id]
        ready |= {s.id: bool(go[s.id][t]) for s in graph.outputs}
        for i, o, depth, words in buffers:
            ready[i], valid[o] = words < depth, words > 0
        for nests, _ in units:
            valid |= {nest.streams[p]: stages[-1] for nest in nests for p, stages in nest.stages.items()}
        for nests, _ in units:
            for nest in nests:
                nest.settle(valid, ready)
        for nests, counters in units:
            changes: dict[str, int] = {}
            for nest in nests:
                nest.clock(ready, changes)
            for name, change in changes.items():
                counters[name] += change
        passed = {s for s in seen if valid[s] and ready[s]}
        for s in passed:
            seen[s].append(t)
        for s in pending:
            pending[s] = pending[s] and s not in passed
        for buffer in buffers:
            buffer[3] += (buffer[0] in passed) - (buffer[1] in passed)
    return seen


@dataclass(frozen=True, eq=False)
class Window(Node):
    """Two schedules and a counter: each word is stored, and each is given `times` times, in windows of `size` words that overlap."""

    size: int = 2
    step: int = 1
    room: int = 2
    words: int = 4
    depth: int = field(default=1, kw_only=True)

    def control(self, ports: Ports) -> Control:
        writer = Schedule((self.words,), takes=(Mark("i"),), needs=(Need("held", -1, (0,), 1 - self.room),), adds=(Add("held", (1, 1)),))
        windows = (self.words - self.size) // self.step + 1
        # A window needs its words up to the one it gives; its last step lets go of `step` words, the frame's last of the rest.
        rest = self.words - (windows - 1) * self.step
        reader = Schedule(
            (windows, self.size), gives=(Mark("o"),), needs=(Need("held", 1, (0, 1), 1),), depth=self.depth,
            adds=(Add("held", (0, -self.step, -rest)),),
        )  # fmt: skip
        return Control((writer, reader), {"held": 0})

    def problems(self, ports):  # type: ignore[no-untyped-def]
        return iter(())

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        raise NotImplementedError

    def cost(self, ports: Ports, target: str) -> Cost:
        raise NotImplementedError

    def component(self, ports: Ports) -> UnitComponent:
        raise NotImplementedError


@st.composite
def windowed(draw: st.DrawFn) -> DataflowGraph:
    """A chain, in front of whose input a window stands."""
    graph = draw(chains())
    x = graph.inputs[0]
    size, step_ = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    words = size + step_ * draw(st.integers(0, 3))
    node = Window("window", size, step_, draw(st.integers(size + step_ - 1, 9)), words, depth=draw(st.integers(1, 5)))
    front = Stream("front", (words * x.lanes,), x.dtype, x.lanes, None, Endpoint("window", "i"))
    behind = replace(x, source=Endpoint("window", "o"))
    return graph.with_nodes([node, *graph.nodes], [front, behind, *graph.streams[1:]])


def agree(graph: DataflowGraph, frames: int, stalls: Stalls, cycles: int) -> None:
    totals = {s.id: 4 * cycles for s in graph.streams} | {s.id: frames * s.transfers for s in graph.inputs}
    trace, _ = step(graph, totals, stalls, cycles)
    given_ = {name: at.tolist() for name, at in trace.transfers.items()}
    assert given_ == plainly(graph, totals, stalls, cycles)
    assert np.max([at[-1] for at in given_.values() if at], initial=-1) < trace.cycles <= cycles


@given(graph=chains() | windowed(), frames=st.integers(1, 3), probability=st.sampled_from([0.0, 0.3, 0.9]), seed=seeds)
def test_the_engine_does_what_the_text_says(graph: DataflowGraph, frames: int, probability: float, seed: int) -> None:
    agree(graph, frames, draw_stalls(graph, probability, seed, 100), 150)


@given(rows=st.integers(1, 3), columns=st.integers(1, 16), hidden=st.integers(1, 4), closed=st.integers(0, 60), seed=seeds)
def test_cycles_that_are_passed_over_were_all_alike(rows: int, columns: int, hidden: int, closed: int, seed: int) -> None:
    graph = mlp((columns, hidden, rows), "uint3", seed)  # one lane: most steps of an MVAU neither take nor give
    x = graph.inputs[0]
    # A second network beside it, whose ends open while the first has nothing else to do than to count.
    side = [replace(x, id="side_i", sink=Endpoint("side", "i")), replace(x, id="side_o", source=Endpoint("side", "o"), sink=None)]
    both = graph.with_nodes([*graph.nodes, FIFO("side", 2)], [*graph.streams, *side])
    for end in ("side_i", "side_o"):
        agree(both, 3, Stalls({end: np.zeros(closed, bool)}, 0.5, seed), 150)
