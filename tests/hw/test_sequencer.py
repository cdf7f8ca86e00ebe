"""Random schedules: the Sequencer in RTL and the timing engine do the same in every cycle, on every stream.

The graphs hold what no unit has yet (joins, several loops, conditions over two loops, peek counters), since later units will.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from amaranth.hdl import Module
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import Integers, datatype
from arbonn.hw.graph import Cost, DataflowGraph, Endpoint, Node, Ports, Stream
from arbonn.hw.schedule import Add, Cond, Control, Mark, Need, Schedule, carry_deltas
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent
from arbonn.hw.units.fifo import FIFO
from arbonn.sim.timing import step
from arbonn.sim.trace import Stalls
from tests.rtl import run_rtl
from tests.strategies import seeds

BIT = datatype("BINARY")
CYCLES = 400


@dataclass(frozen=True, eq=False)
class ControlOnly(Node):
    """A unit that computes nothing: its schedule is all there is."""

    plan: Control
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def takes(self) -> tuple[str, ...]:
        return self.inputs

    @property
    def gives(self) -> tuple[str, ...]:
        return self.outputs

    def problems(self, ports: Ports) -> Iterator[str]:
        return iter(())

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        raise AssertionError("control only")

    def control(self, ports: Ports) -> Control:
        return self.plan

    def cost(self, ports: Ports, target: str) -> Cost:
        return Cost(0, 0, 0, 0, "none")

    def component(self, ports: Ports) -> UnitComponent:
        return NoDatapath(self, ports)


class NoDatapath(UnitComponent):
    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        pass


@pytest.fixture(autouse=True, scope="module")
def _no_digest() -> Iterator[None]:
    """Control-only units have no file form, which the device's graph hash would need."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("arbonn.hw.accelerator.digest", lambda graph: "0" * 64)
        yield


bounds_of = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


@st.composite
def conditions(draw: st.DrawFn, bounds: tuple[int, ...]) -> tuple[Cond, ...]:
    """None, a condition on one loop, or one over several (padding's shape)."""
    found = []
    for _ in range(draw(st.integers(0, 2))):
        coef = tuple(draw(st.integers(-2, 2)) for _ in bounds)
        if draw(st.booleans()):
            coef = tuple(int(k == draw(st.integers(0, len(bounds) - 1))) for k in range(len(bounds)))
        low = draw(st.integers(-4, 3))
        found.append(Cond(coef, draw(st.integers(-2, 2)), low, low + draw(st.integers(1, 5))))
    return tuple(found)


@st.composite
def nests(draw: st.DrawFn, takes: tuple[str, ...], gives: tuple[str, ...]) -> Control:
    bounds = draw(bounds_of)
    return Control(
        (
            Schedule(
                bounds,
                takes=tuple(Mark(p, draw(conditions(bounds))) for p in takes),
                gives=tuple(Mark(p, draw(conditions(bounds))) for p in gives),
                depth=draw(st.integers(1, 5)) if gives else 0,
            ),
        )
    )


@st.composite
def peeks(draw: st.DrawFn) -> Control:
    """A buffer that is written one word a step, read at random places of a window, and moved on: a sliding window's control."""
    bounds = draw(bounds_of)
    coef = tuple(draw(st.integers(0, 2)) for _ in bounds)
    reach = sum(a * (n - 1) for a, n in zip(coef, bounds, strict=True))
    base = tuple(draw(st.integers(0, 2)) for _ in bounds)
    frame = sum(a * (n - 1) for a, n in zip(base, bounds, strict=True)) + draw(st.integers(1, 3))
    release = [-d for d in carry_deltas(bounds, base)]
    release[-1] -= frame
    paced = draw(st.booleans())  # moves on by one word in some steps: what a frame releases is not known then, but it adds nothing
    depth = reach + 1 + draw(st.integers(0, 4))
    first_step = tuple(Cond(tuple(int(k == level) for k in range(len(bounds))), 0, 0, 1) for level in range(len(bounds)))
    writer = Schedule(
        (1,), takes=(Mark("i0"),), needs=(Need("held", -1, (0,), 1 - depth),), adds=(Add("held", (1, 1)),)
    )  # held <= depth - 1
    reader = Schedule(
        bounds,
        gives=(Mark("o0", draw(conditions(bounds))),),
        # The second need bounds the debt to a frame, as `counter_width` asks of every schedule.
        needs=(Need("held", 1, coef, 1, draw(conditions(bounds))), Need("held", 1, (0,) * len(bounds), 1, first_step)),
        adds=(Add("held", (-1,) * len(release), draw(conditions(bounds))) if paced else Add("held", tuple(release)),),
        depth=draw(st.integers(1, 3)),
    )
    return Control((writer, reader), {"held": draw(st.integers(0, 2))})


@st.composite
def control_graphs(draw: st.DrawFn) -> DataflowGraph:
    """A random DAG of control-only units and FIFOs; every open stream is joined, forked on or left as an output."""
    streams = [Stream(f"x_{k}", (1,), BIT, 1) for k in range(draw(st.integers(1, 2)))]
    nodes: list[Node] = []
    for number in range(draw(st.integers(1, 6))):
        name = f"unit_{number}"
        open_now = [k for k, s in enumerate(streams) if s.sink is None]
        kind = draw(st.sampled_from(["nest", "nest", "peek", "peek", "fifo"]))
        taken = draw(st.permutations(open_now))[: 1 if kind != "nest" else draw(st.integers(1, min(2, len(open_now))))]
        gives = 1 if kind != "nest" else draw(st.integers(1, 2))
        inputs, outputs = tuple(f"i{k}" for k in range(len(taken))), tuple(f"o{k}" for k in range(gives))
        if kind == "fifo":
            inputs, outputs = ("i",), ("o",)
            nodes.append(FIFO(name, draw(st.sampled_from([1, 2, 3, 5, 16]))))
        else:
            plan = draw(peeks() if kind == "peek" else nests(inputs, outputs))
            nodes.append(ControlOnly(name, plan, inputs, outputs))
        for port, k in zip(inputs, taken, strict=True):
            streams[k] = Stream(streams[k].id, (1,), BIT, 1, streams[k].source, Endpoint(name, port))
        streams += [Stream(f"{name}_{port}", (1,), BIT, 1, Endpoint(name, port)) for port in outputs]
    used = tuple(s for s in streams if s.source or s.sink)
    return DataflowGraph(tuple(nodes), used, InputContract(BIT)).verify()


@settings(max_examples=60, deadline=None)
@given(graph=control_graphs(), seed=seeds, data=st.data())
def test_sequencer_and_engine_agree_in_every_cycle(graph: DataflowGraph, seed: int, data: st.DataObject) -> None:
    random = np.random.default_rng(seed)
    share = {s.id: data.draw(st.sampled_from([1.0, 0.7, 0.1])) for s in (*graph.inputs, *graph.outputs)}
    stalls = Stalls({name: random.random(CYCLES) < p for name, p in share.items()}, 0.0, seed)
    predicted, _ = step(graph, {s.id: CYCLES for s in graph.streams}, stalls, CYCLES)
    inputs = {s.id: random.integers(0, 2, (CYCLES, 1)) for s in graph.inputs}
    seen = run_rtl(graph, inputs, stalls, CYCLES)
    for s in graph.streams:
        assert seen.transfers[s.id].tolist() == predicted.transfers[s.id].tolist(), s.id


@given(bounds=bounds_of, data=st.data())
def test_carry_deltas_follow_the_form_through_a_whole_frame(bounds: tuple[int, ...], data: st.DataObject) -> None:
    coef = tuple(data.draw(st.integers(-3, 3)) for _ in bounds)
    deltas = carry_deltas(bounds, coef)
    indices = list(np.ndindex(*bounds))
    for now, then in zip(indices, [*indices[1:], indices[0]], strict=True):
        wraps = next((k for k in range(len(bounds)) if now[-1 - k] != bounds[-1 - k] - 1), len(bounds))
        assert sum(a * (t - n) for a, t, n in zip(coef, then, now, strict=True)) == deltas[wraps]
