"""One frame in, one result out: the memories between a byte-wide line and an accelerator."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from arbonn.hw.graph import Stream

BLOCK = {"ram_style": "block"}  # left to itself, yosys makes flip-flops of a memory with few rows
# No row is read while it is written; `transparent_for` is what costs least to say so (yosys adds 27 flip-flops to keep the old row).


class InputBuffer(wiring.Component):
    """Joins bytes into transfers, stores a frame of them, and streams it.

    Streams   o: the accelerator's input `x`.
    Signals   clear: back to the first byte and transfer.    store: take `byte`.    full: this byte is the frame's last.
              run: stream the frame (held until it is out).
    Timing    the first transfer is valid 1 cycle after `run` rises; II = 1 as long as o is ready, no bubble.
    Stalls    o holds until taken.
    Cost      x.transfers rows of x.width bits of block RAM; about 8 * (bytes of a transfer - 1) flip-flops to join the bytes.
    """

    def __init__(self, x: Stream) -> None:
        self.x = x
        members = {"clear": In(1), "store": In(1), "byte": In(8), "full": Out(1), "run": In(1)}
        super().__init__({"o": Out(stream.Signature(unsigned(x.width))), **members})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows, size = self.x.transfers, (self.x.dtype.bits + 7) // 8
        m.submodules.memory = memory = Memory(shape=unsigned(self.x.width), depth=max(rows, 2), init=[], attrs=BLOCK)
        write = memory.write_port()
        read = memory.read_port(transparent_for=(write,))

        row_bytes = self.x.lanes * size
        joined = Cat(Signal(8 * (row_bytes - 1), name="tail"), self.byte)
        slot, row = Signal(range(row_bytes + 1)), Signal(range(rows + 1))
        ends_row = slot == row_bytes - 1
        lanes = [joined[8 * size * lane : 8 * size * lane + self.x.dtype.bits] for lane in range(self.x.lanes)]
        m.d.comb += [write.addr.eq(row), write.data.eq(Cat(*lanes)), write.en.eq(self.store & ends_row)]
        m.d.comb += self.full.eq(ends_row & (row == rows - 1))
        with m.If(self.store):
            if row_bytes > 1:
                m.d.sync += joined[:-8].eq(joined[8:])
            m.d.sync += slot.eq(slot + 1)
        with m.If(write.en):
            m.d.sync += [slot.eq(0), row.eq(row + 1)]
        with m.If(self.clear):
            m.d.sync += [slot.eq(0), row.eq(0)]

        out = Signal(range(rows + 1))  # rows read
        move = ~self.o.valid | self.o.ready
        m.d.comb += [read.addr.eq(out), read.en.eq(move & self.run), self.o.payload.eq(read.data)]
        with m.If(~self.run):
            m.d.sync += out.eq(0)
        with m.If(move):
            m.d.sync += self.o.valid.eq(self.run & (out != rows))
            with m.If(self.run & (out != rows)):
                m.d.sync += out.eq(out + 1)
        return m


class ResultBuffer(wiring.Component):
    """Takes the label and the logits of one frame, counts the cycles, and gives all as the payload of RESULT.

    Streams   label, logits: the accelerator's outputs, always ready.    o: unsigned(8), label u16, cycles u32, then the logits.
    Signals   clear: before a frame.    begin: a transfer on x in this cycle.    complete: label and all logits are here.
              last: o is at its last byte.
    Timing    cycles = cycle of the label's transfer - cycle of the first `begin`.    o is right 2 cycles after the last change.
    Stalls    o holds until taken.
    Cost      logits.transfers rows of logits.width bits of block RAM; 16 + 32 + label.width flip-flops and counters.
    """

    def __init__(self, label: Stream, logits: Stream) -> None:
        self.label_stream, self.logits_stream = label, logits
        members = {"clear": In(1), "begin": In(1), "complete": Out(1), "last": Out(1), "o": Out(stream.Signature(8))}
        ends = {s.id: In(stream.Signature(unsigned(s.width))) for s in (label, logits)}
        super().__init__({**members, **ends})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows = self.logits_stream.transfers
        m.submodules.memory = memory = Memory(shape=unsigned(self.logits_stream.width), depth=max(rows, 2), init=[], attrs=BLOCK)
        write = memory.write_port()
        read = memory.read_port(transparent_for=(write,))
        m.d.comb += [self.label.ready.eq(1), self.logits.ready.eq(1), self.o.valid.eq(1)]

        label, labelled, cycles, counting = Signal(self.label_stream.width), Signal(), Signal(32), Signal()
        stored = Signal(range(rows + 1))
        m.d.comb += [write.addr.eq(stored), write.data.eq(self.logits.payload), write.en.eq(self.logits.valid)]
        with m.If(self.logits.valid):
            m.d.sync += stored.eq(stored + 1)
        with m.If((self.begin | counting) & ~self.label.valid & ~labelled):
            m.d.sync += [counting.eq(1), cycles.eq(cycles + 1)]
        with m.If(self.label.valid):
            m.d.sync += [label.eq(self.label.payload), labelled.eq(1), counting.eq(0)]
        with m.If(self.clear):
            m.d.sync += [labelled.eq(0), stored.eq(0), cycles.eq(0), counting.eq(0)]
        m.d.comb += self.complete.eq(labelled & (stored == rows))

        head = Cat(label, Const(0, 16 - len(label)), cycles)
        part = Signal(range(len(head) // 8 + 1))  # which byte of the head, or at its end the logits
        words = Cat(*(self._padded(read.data, lane) for lane in range(self.logits_stream.lanes)))
        part_of_row, row, next_row = Signal(range(max(len(words) // 8, 2))), Signal(range(rows)), Signal(range(rows))
        # Read for the next cycle: a byte must stand still while it waits, so a row cannot come one cycle after its turn.
        m.d.comb += [next_row.eq(row), read.addr.eq(next_row)]
        m.d.sync += row.eq(next_row)
        with m.Switch(part):
            for at in range(len(head) // 8):
                with m.Case(at):
                    m.d.comb += self.o.payload.eq(head.word_select(at, 8))
            with m.Default():
                m.d.comb += self.o.payload.eq(words.word_select(part_of_row, 8))
        m.d.comb += self.last.eq((row == rows - 1) & (part_of_row == len(words) // 8 - 1))
        with m.If(self.o.ready):
            with m.If(part != len(head) // 8):
                m.d.sync += part.eq(part + 1)
            with m.Elif(part_of_row != len(words) // 8 - 1):
                m.d.sync += part_of_row.eq(part_of_row + 1)
            with m.Else():
                m.d.sync += part_of_row.eq(0)
                m.d.comb += next_row.eq(row + 1)
        with m.If(self.clear):
            m.d.sync += [part.eq(0), part_of_row.eq(0)]
            m.d.comb += next_row.eq(0)
        return m

    def _padded(self, word: Value, lane: int) -> Value:
        """One logit of a row, widened to whole bytes with its sign if its type has one."""
        dtype = self.logits_stream.dtype
        value = word[lane * dtype.bits : (lane + 1) * dtype.bits]
        padding = -dtype.bits % 8
        return Cat(value, (value[-1] if dtype.signed else Const(0, 1)).replicate(padding))
