"""What units that hand one stream on to several outputs share: a register, and what it costs."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from amaranth.hdl import Module, Signal

from arbonn.hw.cost.control import control_parts
from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.graph import Node, Ports
from arbonn.hw.schedule import Control
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent


@dataclass(frozen=True, eq=False)
class Fork(Node):
    """Words of i on the outputs o0, o1, ..., which of them in which step is `control`'s matter."""

    outputs: int = 2
    depth: int = 1

    @property
    def gives(self) -> tuple[str, ...]:
        return tuple(f"o{k}" for k in range(self.outputs))

    @abstractmethod
    def control(self, ports: Ports) -> Control: ...

    def parts(self, ports: Ports, target: str) -> Parts:
        return control_parts(self.control(ports), reads=1) + amounts(ports["i"].width)

    def component(self, ports: Ports) -> UnitComponent:
        return ForkComponent(self, ports)


class ForkComponent(UnitComponent):
    """One register: it moves only when no output waits in it."""

    node: Fork

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        (seq,) = sequencers
        word = Signal(self.streams["i"].width)
        with m.If(seq.move):
            m.d.sync += word.eq(self.port("i").payload)
        m.d.comb += [self.port(p).payload.eq(word) for p in self.node.gives]
