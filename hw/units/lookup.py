"""Lookup: any function of one integer, per channel, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal

from arbonn.hw.cost.control import control_parts
from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Ports
from arbonn.hw.parameters import Parametric, ParametricComponent, Table
from arbonn.hw.schedule import Control, Mark, Schedule
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent


@dataclass(frozen=True, eq=False)
class Lookup(Parametric):
    """o[c] = table[c, i[c] - low]; a table of one row serves every channel.

    Parameters  table (C or 1, R): the value at low .. low + R - 1. An input outside that range is never given (its producer's range).
    Streams     i, o: (..., C), equal lanes.    Timing  one step a transfer; first_out = 1; II 1.    Stalls  rigid pipeline of 1.
    Memory      a table for each lane: (C / lanes, or 1) * R words of the output's bits. Run time: word c * R + k of table_<lane> holds the
                value at low + k of channel c * lanes + lane.
    """

    table: Integers
    low: int
    depth: int = 1

    def problems(self, ports: Ports) -> Iterator[str]:
        i, o = ports["i"], ports["o"]
        if i.shape != o.shape or i.lanes != o.lanes:
            yield f"i {i.shape} by {i.lanes} and o {o.shape} by {o.lanes} lanes"
        elif self.table.ndim != 2 or len(self.table) not in (1, i.shape[-1]) or not self.table.size:
            yield f"table of shape {self.table.shape} for {i.shape[-1]} channels"
        elif not o.dtype.allows(self.table):
            yield f"table values {self.table.min()} .. {self.table.max()} in {o.dtype}"
        elif self.low < i.dtype.low or self.low + self.table.shape[1] - 1 > i.dtype.high:
            yield f"a table over {self.low} .. {self.low + self.table.shape[1] - 1} for {i.dtype}"
        elif self.depth != 1:
            yield f"depth {self.depth} (1 allowed)"
        yield from self.parameter_problems()

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        index = inputs["i"] - self.low
        channel = np.arange(ports["i"].shape[-1]) if len(self.table) > 1 else 0
        return {"o": self.table[channel, index]}

    def control(self, ports: Ports) -> Control:
        folds = ports["i"].shape[-1] // ports["i"].lanes
        return Control((Schedule((folds,), takes=(Mark("i"),), gives=(Mark("o"),), depth=self.depth),))

    def tables(self, ports: Ports) -> dict[str, Table]:
        i, o = ports["i"], ports["o"]
        words = self.table.size // (i.lanes if len(self.table) > 1 else 1)
        return {f"table_{lane}": Table(words, o.dtype.bits) for lane in range(i.lanes)}

    def words(self, ports: Ports) -> dict[str, list[int]]:
        i, o = ports["i"], ports["o"]
        rows = [self.table[lane :: i.lanes] if len(self.table) > 1 else self.table for lane in range(i.lanes)]
        return {f"table_{lane}": [int(code) for code in o.dtype.encode(mine).reshape(-1)] for lane, mine in enumerate(rows)}

    def parts(self, ports: Ports, target: str) -> Parts:
        i, size = ports["i"], self.table.shape[1]
        folds = i.shape[-1] // i.lanes if len(self.table) > 1 else 1
        base, address = (folds * size - 1).bit_length() if folds > 1 else 0, (max(2, folds * size) - 1).bit_length()
        adders = i.lanes * address if folds > 1 or self.low else 0
        tables = self.tables_parts(ports, target)
        logic = {name: n for name, n in tables.amounts.items() if not name.endswith("table rest")}
        if rest := tables.amounts.get("table rest"):  # neighbouring numbers are alike: yosys shares more of them than of random bits
            logic["number table rest"] = rest
        tables = replace(tables, amounts=logic)
        return control_parts(self.control(ports), reads=folds == 1) + tables + amounts(base, address=base, adder=adders)

    def component(self, ports: Ports) -> UnitComponent:
        return LookupComponent(self, ports)


class LookupComponent(ParametricComponent):
    """One stage: the table's own read register."""

    node: Lookup

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        (seq,) = sequencers
        node, i = self.node, self.streams["i"]
        size = node.table.shape[1]
        folds = i.shape[-1] // i.lanes if len(node.table) > 1 else 1
        base = Signal(range(max(1, folds * size)))  # where the row of this step begins
        if folds > 1:
            with m.If(seq.fire):
                m.d.sync += base.eq(Mux(seq.wrap, 0, base + size))
        outputs = []
        for lane in range(i.lanes):
            code = self.port("i").payload[lane * i.dtype.bits : (lane + 1) * i.dtype.bits]
            number = 2 * code - 1 if i.dtype.name == "BIPOLAR" else (code.as_signed() if i.dtype.signed else code)
            address = Signal(range(max(2, folds * size)), name=f"address_{lane}")
            m.d.comb += address.eq(base + number - node.low)
            outputs.append(self.table(m, f"table_{lane}", address, seq.move))
        m.d.comb += self.port("o").payload.eq(Cat(*outputs))
