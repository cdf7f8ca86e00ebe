"""DWC: data width converter, between streams that differ only in lanes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal

from arbonn.hw.cost.control import control_parts
from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Node, Ports
from arbonn.hw.schedule import Control, Mark, Schedule, at, last
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent


@dataclass(frozen=True, eq=False)
class DWC(Node):
    """Joins narrow transfers into wide ones, or splits wide ones; the first goes to, or comes from, the low bits.

    Streams  i, o: the same shape and type; the lanes of one divide the other's (ratio).
    Timing   up: first_out = ratio, II 1 on i, ratio on o. down: first_out = 1, II ratio on i, 1 on o. No bubble between words or frames.
    Stalls   o holds until taken; i waits only while a finished word (up), or the rest of a word (down), is not taken.
    """

    @staticmethod
    def ratio(ports: Ports) -> int:
        """Narrow transfers in a wide one."""
        wide, narrow = max(ports["i"].lanes, ports["o"].lanes), min(ports["i"].lanes, ports["o"].lanes)
        return wide // narrow if wide % narrow == 0 else 0

    def problems(self, ports: Ports) -> Iterator[str]:
        i, o = ports["i"], ports["o"]
        if i.shape != o.shape or i.dtype != o.dtype:
            yield f"i {i.shape} {i.dtype} and o {o.shape} {o.dtype}"
        elif self.ratio(ports) < 2:
            yield f"{i.lanes} to {o.lanes} lanes (one has to be a multiple, 2 or more, of the other)"

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        return {"o": inputs["i"]}

    def control(self, ports: Ports) -> Control:
        bounds = (self.ratio(ports),)
        up = ports["i"].lanes < ports["o"].lanes
        take, give = ((), last(bounds, 0)) if up else (at(bounds, 0, 0), ())
        return Control((Schedule(bounds, takes=(Mark("i", take),), gives=(Mark("o", give),), depth=1),))

    def parts(self, ports: Ports, target: str) -> Parts:
        i, o = ports["i"], ports["o"]
        down = i.lanes > o.lanes  # a word is loaded or shifted; the other way it only shifts
        return control_parts(self.control(ports)) + amounts(max(i.width, o.width), multiplexer=i.width if down else 0)

    def component(self, ports: Ports) -> UnitComponent:
        return DWCComponent(self, ports)


class DWCComponent(UnitComponent):
    """One wide shift register; it moves only when a step fires, so it holds while its word waits."""

    node: DWC

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        (seq,) = sequencers
        i, o = self.port("i").payload, self.port("o").payload
        if len(i) < len(o):
            with m.If(seq.fire):
                m.d.sync += o.eq(Cat(o, i)[len(i) :])
        else:
            word = Signal(len(i))
            m.d.comb += o.eq(word[: len(o)])
            with m.If(seq.fire):
                m.d.sync += word.eq(Mux(seq.now["i"], i, word >> len(o)))
