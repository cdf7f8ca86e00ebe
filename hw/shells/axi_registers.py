"""The registers behind the AXI shell's AXI4-Lite port: counters, status, and the way to the units' tables."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arbonn.hw.accelerator import version_code
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.parameters import load_signature, runtime_units
from arbonn.hw.shells.axi_lite import DATA_BITS, read_signature, write_signature
from arbonn.hw.shells.axi_map import MAGIC, SCHEMA, ControlBit, MemoryMap, Register, StatusBit, Window

AHEAD_BITS = 16  # of two outputs one may be so many frames ahead, 2^16 - 1


class AxiRegisters(wiring.Component):
    """Holds what `axi_map` describes.

    Ports     write, read: of an `AxiLite`.    load_<unit>: the tables' write ports, as the accelerator has them.
    Signals   begins: a frame's first beat was taken.    ends: one bit an output, the last was.    misplaced: a beat with a wrong TLAST.
              clear: one cycle after the write of CONTROL's RESET, for one cycle.    interrupt: DONE, where INTERRUPT lets it.
    Timing    what happens in a cycle is read from the next on. CYCLES = cycle of the end of a frame - cycle of the first `begins`.
    """

    def __init__(self, graph: DataflowGraph, memory_map: MemoryMap) -> None:
        self.map = memory_map
        self.tables = {node.id: load_signature(node, graph.ports(node)) for node in runtime_units(graph)}
        members: dict[str, object] = {
            "write": In(write_signature(memory_map.address_bits)),
            "read": In(read_signature(memory_map.address_bits)),
        }
        members |= {"begins": In(1), "ends": In(len(memory_map.outputs)), "misplaced": In(1), "clear": Out(1), "interrupt": Out(1)}
        super().__init__(members | {f"load_{unit}": In(tables) for unit, tables in self.tables.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        frames_in, frames_out, cycles, enabled = Signal(DATA_BITS), Signal(DATA_BITS), Signal(DATA_BITS), Signal()
        flags: dict[StatusBit, Signal] = {bit: Signal(name=str(bit.name).lower()) for bit in StatusBit if bit != StatusBit.BUSY}
        busy = frames_in != frames_out
        m.d.comb += self.interrupt.eq(flags[StatusBit.DONE] & enabled)

        loads = self._loads(m)
        control, status = self._written(Register.CONTROL), self._written(Register.STATUS)
        m.d.comb += self.write.ok.eq(Cat(*loads).any() | (self.write.addr == Register.CONTROL) | (self.write.addr == Register.STATUS))
        m.d.sync += self.clear.eq(control & self.write.data[_place(ControlBit.RESET)])
        with m.If(control):
            m.d.sync += enabled.eq(self.write.data[_place(ControlBit.INTERRUPT)])

        done = self._done(m)
        running, now = Signal(), Signal(DATA_BITS)
        with m.If(self.begins):
            m.d.sync += [frames_in.eq(frames_in + 1), running.eq(1)]
        with m.If(self.begins | running):
            m.d.sync += now.eq(now + 1)
        with m.If(done):
            m.d.sync += [frames_out.eq(frames_out + 1), cycles.eq(now)]
        overlap = Cat(*loads).any() & self.write.en & (busy | self.begins)
        for bit, happened in ((StatusBit.DONE, done), (StatusBit.MISPLACED, self.misplaced), (StatusBit.OVERLAP, overlap)):
            with m.If(happened):
                m.d.sync += flags[bit].eq(1)  # what happens while it is being cleared is not lost
            with m.Elif(status & self.write.data[_place(bit)]):
                m.d.sync += flags[bit].eq(0)
        with m.If(self.clear):
            m.d.sync += [signal.eq(0) for signal in (frames_in, frames_out, cycles, now, running, *flags.values())]

        digest = int(self.map.graph_digest[:16], 16)
        self._read(
            m,
            {
                Register.ID: Const(MAGIC, DATA_BITS),
                Register.VERSION: Const(SCHEMA << 16 | version_code(), DATA_BITS),
                Register.GRAPH_HASH_LOW: Const(digest & 0xFFFF_FFFF, DATA_BITS),
                Register.GRAPH_HASH_HIGH: Const(digest >> 32, DATA_BITS),
                Register.CONTROL: Mux(enabled, int(ControlBit.INTERRUPT), 0),
                Register.STATUS: Cat(busy, *(flags[bit] for bit in StatusBit if bit in flags)),
                Register.FRAMES_IN: frames_in,
                Register.FRAMES_OUT: frames_out,
                Register.CYCLES: cycles,
            },
        )
        return m

    def _written(self, register: Register) -> Value:
        return self.write.en & (self.write.addr == register)

    def _read(self, m: Module, values: dict[Register, Value]) -> None:
        # Not a Switch: its Verilog is a process that Icarus does not run before the address changes, so the first answer would be X.
        hits = {register: self.read.addr == register for register in values}
        m.d.comb += self.read.ok.eq(Cat(*hits.values()).any())
        m.d.comb += self.read.data.eq(reduce(or_, (Mux(hits[register], value, 0) for register, value in values.items())))

    def _done(self, m: Module) -> Value:
        """High when the last of the outputs gives its last beat of a frame."""
        if len(self.ends) == 1:
            return self.ends
        done, here = Signal(), []
        for number in range(len(self.ends)):
            ahead = Signal(AHEAD_BITS, name=f"ahead_{number}")  # frames that this output has given and the slowest has not
            here.append((ahead != 0) | self.ends[number])
            m.d.sync += ahead.eq(Mux(self.clear, 0, ahead + self.ends[number] - done))
        m.d.comb += done.eq(Cat(*here).all())
        return done

    def _loads(self, m: Module) -> list[Value]:
        """Wires the tables' write ports; for each window, whether the address is one of its registers."""
        most = max((window.parts for window in self.map.windows), default=1)
        aside = Signal(DATA_BITS * (most - 1))  # the parts of a word before its last
        found = []
        for window in self.map.windows:
            hit, last = self._hit(m, window)
            port = getattr(getattr(self, f"load_{window.unit}"), window.table)
            word = Cat(aside[: DATA_BITS * (window.parts - 1)], self.write.data)
            m.d.comb += [port.en.eq(self.write.en & hit & last), port.addr.eq(self.write.addr[_log(window.stride) :]), port.data.eq(word)]
            part = self.write.addr[2 : _log(window.stride)]
            with m.If(self.write.en & hit & ~last):
                m.d.sync += aside.word_select(part, DATA_BITS).eq(self.write.data)
            found.append(hit)
        return found

    def _hit(self, m: Module, window: Window) -> tuple[Value, Value]:
        """(the address is a register of the window, it is a word's last part)."""
        address, stride, span = self.write.addr, _log(window.stride), _log(window.span)
        hit, last = Signal(name=f"hit_{window.unit}_{window.table}"), Signal(name=f"last_{window.unit}_{window.table}")
        part, number = address[2:stride], address[stride:span]
        inside = [address[span:] == window.address >> span]
        inside += [part < window.parts] if len(part) else []
        inside += [number < window.words] if len(number) else []
        m.d.comb += [hit.eq(Cat(*inside).all()), last.eq(part == window.parts - 1 if len(part) else 1)]
        return hit, last


def _place(bit: int) -> int:
    return int(bit).bit_length() - 1


def _log(power: int) -> int:
    return power.bit_length() - 1
