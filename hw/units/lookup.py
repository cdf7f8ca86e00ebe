"""Lookup: any function of one integer, per channel, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal

from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Cost, Node, Ports
from arbonn.hw.rom import memory_cost, rom
from arbonn.hw.schedule import Control, Mark, Schedule
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent


@dataclass(frozen=True, eq=False)
class Lookup(Node):
    """o[c] = table[c, i[c] - low]; a table of one row serves every channel.

    Parameters  table (C or 1, R): the value at low .. low + R - 1. An input outside that range is never given (its producer's range).
    Streams     i, o: (..., C), equal lanes.    Timing  one step a transfer; first_out = 1; II 1.    Stalls  rigid pipeline of 1.
    Memory      a table for each lane: (C / lanes, or 1) * R words of the output's bits.
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

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        index = inputs["i"] - self.low
        channel = np.arange(ports["i"].shape[-1]) if len(self.table) > 1 else 0
        return {"o": self.table[channel, index]}

    def control(self, ports: Ports) -> Control:
        folds = ports["i"].shape[-1] // ports["i"].lanes
        return Control((Schedule((folds,), takes=(Mark("i"),), gives=(Mark("o"),), depth=self.depth),))

    def cost(self, ports: Ports, target: str) -> Cost:
        i, o = ports["i"], ports["o"]
        words = self.table.size // (i.lanes if len(self.table) > 1 else 1)
        table = memory_cost(words, o.dtype.bits, target)
        luts = i.lanes * (words.bit_length() + 4 + table.luts)
        return Cost(luts, 12, table.bits * i.lanes, table.brams * i.lanes, "an address adder for each lane")

    def component(self, ports: Ports) -> UnitComponent:
        return LookupComponent(self, ports)


class LookupComponent(UnitComponent):
    """One stage: the table's own read register."""

    node: Lookup

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        (seq,) = sequencers
        node, i, o = self.node, self.streams["i"], self.streams["o"]
        size = node.table.shape[1]
        folds = i.shape[-1] // i.lanes if len(node.table) > 1 else 1
        base = Signal(range(max(1, folds * size)))  # where the row of this step begins
        if folds > 1:
            with m.If(seq.fire):
                m.d.sync += base.eq(Mux(seq.wrap, 0, base + size))
        outputs = []
        for lane in range(i.lanes):
            rows = node.table[lane :: i.lanes] if len(node.table) > 1 else node.table
            code = self.port("i").payload[lane * i.dtype.bits : (lane + 1) * i.dtype.bits]
            number = 2 * code - 1 if i.dtype.name == "BIPOLAR" else (code.as_signed() if i.dtype.signed else code)
            address = Signal(range(max(2, folds * size)), name=f"address_{lane}")
            m.d.comb += address.eq(base + number - node.low)
            outputs.append(rom(m, f"table_{lane}", [int(c) for c in o.dtype.encode(rows).reshape(-1)], o.dtype.bits, address, seq.move))
        m.d.comb += self.port("o").payload.eq(Cat(*outputs))
