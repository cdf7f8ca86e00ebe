"""FIFO: a buffer between two units, and the cut of a long ready chain (2 words are enough for that)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib.memory import Memory

from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.cost.memory import memory_parts
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Node, Ports
from arbonn.hw.schedule import Control
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent


@dataclass(frozen=True, eq=False)
class FIFO(Node):
    """First in, first out, `depth` words.

    Streams  i, o: equal in shape, type and lanes.
    Timing   first_out = 1. II 1 from depth 2 on, 2 for depth 1.
    Stalls   i.ready = not full, o.valid = not empty, both from registers: full takes nothing even while a word leaves.
    Memory   depth words of the stream's width.
    """

    depth: int = 2

    def problems(self, ports: Ports) -> Iterator[str]:
        i, o = ports["i"], ports["o"]
        if (i.shape, i.dtype, i.lanes) != (o.shape, o.dtype, o.lanes):
            yield f"i {i.shape} {i.dtype} by {i.lanes} and o {o.shape} {o.dtype} by {o.lanes} lanes"
        if not 1 <= self.depth <= 1 << 20:
            yield f"depth {self.depth} (1 .. 2^20 allowed)"

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        return {"o": inputs["i"]}

    def control(self, ports: Ports) -> Control:
        return Control(buffer=self.depth)

    def parts(self, ports: Ports, target: str) -> Parts:
        width, count, pointer = ports["i"].width, self.depth.bit_length(), (self.depth - 1).bit_length()
        found = amounts(count, unit=1, port=2, counter=count)
        if self.depth <= 2:  # registers
            return found + amounts(width * self.depth, multiplexer=width * (self.depth - 1))
        uneven = 2 * pointer if self.depth & (self.depth - 1) else 0
        return found + amounts(2 * pointer, index=2 * pointer, uneven_index=uneven) + memory_parts(self.depth, width, target, "new")

    def component(self, ports: Ports) -> UnitComponent:
        return FIFOComponent(self, ports)


class FIFOComponent(UnitComponent):
    """Count in a register; storage is a memory whose read port shows the next word in the cycle after it arrived."""

    node: FIFO

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        i, o, depth = self.port("i"), self.port("o"), self.node.depth
        count = Signal(range(depth + 1))
        push, pop = i.valid & i.ready, o.valid & o.ready
        m.d.comb += [i.ready.eq(count < depth), o.valid.eq(count != 0)]
        m.d.sync += count.eq(count + push - pop)
        if depth == 1:
            with m.If(push):
                m.d.sync += o.payload.eq(i.payload)
        elif depth == 2:
            second = Signal(len(i.payload))
            with m.If(pop):
                m.d.sync += o.payload.eq(second)
            with m.If(push):
                m.d.sync += second.eq(i.payload)
                with m.If(count == pop):  # nothing is left before it
                    m.d.sync += o.payload.eq(i.payload)
        else:
            m.submodules.memory = memory = Memory(shape=unsigned(len(i.payload)), depth=depth, init=[])
            write = memory.write_port()
            read = memory.read_port(transparent_for=(write,))
            head, tail, next_head = Signal(range(depth)), Signal(range(depth)), Signal(range(depth))
            m.d.comb += next_head.eq(Mux(pop, Mux(head == depth - 1, 0, head + 1), head))
            m.d.sync += head.eq(next_head)
            with m.If(push):
                m.d.sync += tail.eq(Mux(tail == depth - 1, 0, tail + 1))
            m.d.comb += [write.addr.eq(tail), write.data.eq(i.payload), write.en.eq(push)]
            m.d.comb += [read.addr.eq(next_head), read.en.eq(1), o.payload.eq(read.data)]
