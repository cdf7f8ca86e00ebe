"""What every unit's Amaranth component shares: stream ports named as the node's, one Sequencer a schedule, a rigid pipeline behind it."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from arbonn.hw.graph import Node, Stream
from arbonn.hw.schedule import Control
from arbonn.hw.sequencer import Sequencer, counter_width


class UnitComponent(wiring.Component):
    """Streams by port name; `datapath` adds what a unit computes behind its sequencers.

    A datapath moves ALL its registers (memories' read ports too) by `sequencer.move` and lets only a fired step change what it
    accumulates. It has exactly `depth` registers between a step that fires and the payload that the step gives.
    """

    def __init__(self, node: Node, ports: Mapping[str, Stream], more: Mapping[str, object] | None = None) -> None:
        self.node, self.streams = node, dict(ports)
        members: dict[str, object] = {p: In(stream.Signature(unsigned(ports[p].width))) for p in node.takes}
        members |= {p: Out(stream.Signature(unsigned(ports[p].width))) for p in node.gives}
        super().__init__({**members, **(more or {})})

    def port(self, name: str) -> stream.Interface:
        """The stream interface of a port."""
        return getattr(self, name)

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        """Adds the datapath; called by `elaborate` once control is wired."""
        raise NotImplementedError  # abstract: every unit has one

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control = self.node.control(self.streams)
        sequencers = []
        for number, schedule in enumerate(control.schedules):
            name = "sequencer" if len(control.schedules) == 1 else f"sequencer_{number}"
            m.submodules[name] = sequencer = Sequencer(schedule, control)
            sequencers.append(sequencer)
            for mark in schedule.takes:
                taken = self.port(mark.port)
                m.d.comb += [sequencer.valid[mark.port].eq(taken.valid), taken.ready.eq(sequencer.ready[mark.port])]
            for mark in schedule.gives:
                given = self.port(mark.port)
                m.d.comb += [given.valid.eq(sequencer.valid[mark.port]), sequencer.ready[mark.port].eq(given.ready)]
        _join_counters(m, control, sequencers)
        self.datapath(m, sequencers)
        return m


def _join_counters(m: Module, control: Control, sequencers: list[Sequencer]) -> None:
    """One register a counter, seen by every schedule; all adds of a cycle sum and show in the next."""
    for name, start in control.counters.items():
        width = counter_width(control, name)
        value = Signal(signed(width), init=start, name=f"counter_{name}")
        adds = [s.added[name] for s in sequencers if name in s.added]
        m.d.sync += value.eq(value + sum(adds))
        m.d.comb += [s.counter[name].eq(value) for s in sequencers if name in s.counter]
