"""Thresholding: integers to few levels, per channel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Signal

from arbonn.hw.cost.control import control_parts
from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Ports
from arbonn.hw.parameters import Parametric, ParametricComponent, Table
from arbonn.hw.schedule import Control, Mark, Schedule
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent
from arbonn.hw.units.levels import (
    amaranth_shape,
    compared_bits,
    count_reached,
    level_problems,
    levels,
    threshold_parts,
    threshold_table,
    threshold_values,
    threshold_words,
    varies,
)


@dataclass(frozen=True, eq=False)
class Thresholding(Parametric):
    """o[c] = offset + number of thresholds of channel c that i[c] reaches (>=); for a BIPOLAR output the count is the stored bit.

    Parameters  thresholds (C, T), rising. offset.    Streams  i, o: (..., C), equal lanes, folds C / lanes.
    Timing      one step a transfer; first_out = 2 (depth); II 1; no bubble.    Stalls  rigid pipeline of 2.
    Memory      thresholds: C / lanes words of lanes * T thresholds. Run time: word c / lanes holds those of channels c .., rising, the
                first in the low bits.
    """

    thresholds: Integers
    offset: int = 0
    depth: int = 2

    def problems(self, ports: Ports) -> Iterator[str]:
        i, o = ports["i"], ports["o"]
        if i.shape != o.shape or i.lanes != o.lanes:
            yield f"i {i.shape} by {i.lanes} and o {o.shape} by {o.lanes} lanes"
        elif self.depth != 2:
            yield f"depth {self.depth} (2 allowed)"
        else:
            yield from self.parameter_problems()
            yield from level_problems(self.thresholds, i.shape[-1], self.offset, o.dtype)

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        return {"o": levels(inputs["i"], self.thresholds, self.offset, ports["o"].dtype)}

    def control(self, ports: Ports) -> Control:
        folds = ports["i"].shape[-1] // ports["i"].lanes
        return Control((Schedule((folds,), takes=(Mark("i"),), gives=(Mark("o"),), depth=self.depth),))

    def tables(self, ports: Ports) -> dict[str, Table]:
        i = ports["i"]
        return {"thresholds": threshold_table(i.shape[-1] // i.lanes, i.lanes, self.thresholds.shape[1], (i.dtype.low, i.dtype.high + 1))}

    def words(self, ports: Ports) -> dict[str, list[int]]:
        i = ports["i"]
        return {"thresholds": threshold_words(self.thresholds, i.shape[-1] // i.lanes, (i.dtype.low, i.dtype.high + 1))}

    def parts(self, ports: Ports, target: str) -> Parts:
        i, o = ports["i"], ports["o"]
        bits, fetched = amaranth_shape(i.dtype.low, i.dtype.high + 1).width, i.width
        folded = self.writable or varies(self.thresholds, i.lanes)
        compared = threshold_parts(self.thresholds, i.lanes, bits if folded else i.dtype.bits, self.writable)
        if not folded:  # bits that no comparison looks at are not kept
            fetched = sum(max(compared_bits(int(t), i.dtype.bits) for t in row) for row in self.thresholds[: i.lanes])
        return (
            control_parts(self.control(ports), reads=not folded) + self.tables_parts(ports, target) + compared + amounts(fetched + o.width)
        )

    def component(self, ports: Ports) -> UnitComponent:
        return ThresholdingComponent(self, ports)


class ThresholdingComponent(ParametricComponent):
    """Stages: (1) value and thresholds fetched, (2) compared."""

    node: Thresholding

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        (seq,) = sequencers
        i, o = self.streams["i"], self.streams["o"]
        fetched = Signal(i.width)
        rows = threshold_values(self.table(m, "thresholds", seq.index[0], seq.move), i.lanes, (i.dtype.low, i.dtype.high + 1))
        payload = []
        for lane, row in enumerate(rows):
            value = fetched[lane * i.dtype.bits : (lane + 1) * i.dtype.bits]
            result = Signal(o.dtype.bits, name=f"result_{lane}")
            number = 2 * value - 1 if i.dtype.name == "BIPOLAR" else (value.as_signed() if i.dtype.signed else value)
            m.d.comb += result.eq(count_reached(number, row, self.node.offset, o.dtype))
            payload.append(result)
        with m.If(seq.move):
            m.d.sync += [fetched.eq(self.port("i").payload), self.port("o").payload.eq(Cat(*payload))]
