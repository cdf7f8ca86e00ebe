"""AccPool: the sum of each channel over a window; an average pooling once a Thresholding or Lookup behind it divides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Signal

from arbonn.hw.cost.control import control_parts
from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Ports
from arbonn.hw.products import number
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent
from arbonn.hw.units.levels import amaranth_shape
from arbonn.hw.units.window import Windowed, lanes_of, running


@dataclass(frozen=True, eq=False)
class AccPool(Windowed):
    """o[c] = the sum of the window's taps of channel c.

    Parameters  taps: of a window (KH * KW behind an SWG, H * W for a global pooling). group: as the SWG's, 0 = all C.
    Streams     i: (..., taps * C) from an SWG, or (H, W, C) with o of one pixel.  o: (..., C), integers that hold every sum. Equal lanes.
    Timing      for C / group: for taps: for group / lanes: take i; give o in the last tap. II of i 1; no bubble between windows or frames.
                first_out = (taps - 1) * group / lanes + 1; interval = transfers of i.
    Stalls      a rigid pipeline of 1.    Memory  group / lanes running sums of each lane (a register when that is 1).
    """

    taps: int
    group: int = 0
    depth: int = 1

    @property
    def window(self) -> tuple[int, int, int]:
        return self.taps, self.group, self.depth

    def sum_range(self, ports: Ports) -> tuple[int, int]:
        """Least and greatest sum; partial sums lie between them as no type has all values on one side of 0."""
        return self.taps * ports["i"].dtype.low, self.taps * ports["i"].dtype.high

    def problems(self, ports: Ports) -> Iterator[str]:
        yield from self.window_problems(ports)
        (low, high), o = self.sum_range(ports), ports["o"].dtype
        if o.name == "BIPOLAR" or low < o.low or high > o.high:
            yield f"sums {low} .. {high} in {o}"
        if self.depth != 1:
            yield f"depth {self.depth} (1 allowed)"

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        return {"o": self.taps_of(inputs["i"], ports).sum(axis=3).reshape(-1, *ports["o"].shape)}

    def parts(self, ports: Ports, target: str) -> Parts:
        o, bits = ports["o"], amaranth_shape(*self.sum_range(ports)).width
        kept = self.kept_parts(bits, ports, target)
        return control_parts(self.control(ports), reads=1) + kept + amounts(o.width, accumulator=o.lanes * bits)

    def component(self, ports: Ports) -> UnitComponent:
        return AccPoolComponent(self, ports)


class AccPoolComponent(UnitComponent):
    """One stage: added to what the window had so far."""

    node: AccPool

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        (seq,) = sequencers
        i, o, folds = self.streams["i"], self.streams["o"], self.node.bounds(self.streams)[2]
        taps = []
        for lane, code in enumerate(lanes_of(self, "i")):
            before = Signal(amaranth_shape(*self.node.sum_range(self.streams)), name=f"before_{lane}")
            taps.append((number(code, i.dtype), before + number(code, i.dtype), before))
        totals = running(m, seq.index[1] == 0, taps, folds, seq.fire)
        results = [Signal(o.dtype.bits, name=f"result_{lane}") for lane in range(o.lanes)]
        m.d.comb += [result.eq(total) for result, total in zip(results, totals, strict=True)]  # extended by its own sign
        with m.If(seq.move):
            m.d.sync += self.port("o").payload.eq(Cat(*results))
