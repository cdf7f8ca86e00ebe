"""MaxPool: the greatest value of each channel in a window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal

from arbonn.hw.cost.control import control_parts
from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Ports
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent
from arbonn.hw.units.window import Windowed, lanes_of, running


@dataclass(frozen=True, eq=False)
class MaxPool(Windowed):
    """o[c] = the greatest of the window's taps of channel c: for stored bits their OR.

    Parameters  taps: of a window (KH * KW behind an SWG, H * W for a global pooling). group: as the SWG's, 0 = all C.
    Streams     i: (..., taps * C) from an SWG, or (H, W, C) with o of one pixel.  o: (..., C). Equal types and lanes.
    Timing      for C / group: for taps: for group / lanes: take i; give o in the last tap. II of i 1; no bubble between windows or frames.
                first_out = (taps - 1) * group / lanes + 1; interval = transfers of i.
    Stalls      a rigid pipeline of 1.    Memory  group / lanes running values of each lane (a register when that is 1).
    """

    taps: int
    group: int = 0
    depth: int = 1

    @property
    def window(self) -> tuple[int, int, int]:
        return self.taps, self.group, self.depth

    def problems(self, ports: Ports) -> Iterator[str]:
        yield from self.window_problems(ports)
        if ports["i"].dtype != ports["o"].dtype:
            yield f"i {ports['i'].dtype} and o {ports['o'].dtype}"
        if self.depth != 1:
            yield f"depth {self.depth} (1 allowed)"

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        return {"o": self.taps_of(inputs["i"], ports).max(axis=3).reshape(-1, *ports["o"].shape)}

    def parts(self, ports: Ports, target: str) -> Parts:
        i = ports["i"]
        if self.taps == 1:  # a register: synthesis finds that nothing is compared
            return control_parts(self.control(ports), reads=3) + amounts(i.width)
        kept = self.kept_parts(i.dtype.bits, ports, target)
        chosen = amounts(0, maximum=i.width) if i.dtype.bits > 1 else amounts(0, multiplexer=i.width)
        return control_parts(self.control(ports), reads=1) + kept + chosen + amounts(i.width)

    def component(self, ports: Ports) -> UnitComponent:
        return MaxPoolComponent(self, ports)


class MaxPoolComponent(UnitComponent):
    """One stage: compared with what the window had so far."""

    node: MaxPool

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        (seq,) = sequencers
        dtype, folds = self.streams["i"].dtype, self.node.bounds(self.streams)[2]
        taps = []
        for lane, code in enumerate(lanes_of(self, "i")):
            value = code.as_signed() if dtype.signed else code  # BIPOLAR's stored bits rise as its values do
            best = Signal(value.shape(), name=f"best_{lane}")
            taps.append((value, Mux(value > best, value, best) if dtype.bits > 1 or dtype.signed else value | best, best))
        totals = running(m, seq.index[1] == 0, taps, folds, seq.fire)
        with m.If(seq.move):
            m.d.sync += self.port("o").payload.eq(Cat(*totals))
