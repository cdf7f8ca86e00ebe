"""DuplicateStreams: one stream to several consumers, as where a residual branch leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from amaranth.hdl import Module, Signal

from arbonn.hw.cost.control import control_parts
from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Node, Ports
from arbonn.hw.schedule import Control, Mark, Schedule
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent


@dataclass(frozen=True, eq=False)
class DuplicateStreams(Node):
    """o0 = o1 = ... = i.

    Streams  i, o0, o1, ...: equal in shape, type and lanes.    Timing  one step a transfer; first_out = 1; II 1.
    Stalls   a rigid pipeline of 1; each output is taken in its own time (an eager fork), the next word comes when all have been.
    """

    outputs: int = 2
    depth: int = 1

    @property
    def gives(self) -> tuple[str, ...]:
        return tuple(f"o{k}" for k in range(self.outputs))

    def problems(self, ports: Ports) -> Iterator[str]:
        i = ports["i"]
        if not 2 <= self.outputs <= 16 or self.depth != 1:
            yield f"{self.outputs} outputs (2 .. 16 allowed), depth {self.depth} (1 allowed)"
        for p in self.gives:
            if (ports[p].shape, ports[p].dtype, ports[p].lanes) != (i.shape, i.dtype, i.lanes):
                yield f"{p} that differs from i in shape, type or lanes"

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        return dict.fromkeys(self.gives, inputs["i"])

    def control(self, ports: Ports) -> Control:
        folds = ports["i"].shape[-1] // ports["i"].lanes
        return Control((Schedule((folds,), takes=(Mark("i"),), gives=tuple(Mark(p) for p in self.gives), depth=self.depth),))

    def parts(self, ports: Ports, target: str) -> Parts:
        return control_parts(self.control(ports), reads=1) + amounts(ports["i"].width)

    def component(self, ports: Ports) -> UnitComponent:
        return DuplicateStreamsComponent(self, ports)


class DuplicateStreamsComponent(UnitComponent):
    """One register: it moves only when no output waits in it."""

    node: DuplicateStreams

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        (seq,) = sequencers
        word = Signal(self.streams["i"].width)
        with m.If(seq.move):
            m.d.sync += word.eq(self.port("i").payload)
        m.d.comb += [self.port(p).payload.eq(word) for p in self.node.gives]
