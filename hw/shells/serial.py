"""Receiver and transmitter of one asynchronous line: 8 data bits, no parity, one stop bit (8N1)."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out


class Receiver(wiring.Component):
    """Bytes from the line `rx`; a byte whose stop bit is low is dropped.

    Streams   o: unsigned(8), always ready: a byte is there for one cycle.    divider  clock cycles a bit, at least 4.
    Timing    o is valid 9.5 bits, and 4 to 5 cycles of synchroniser and filter, after the falling edge of the start bit.
    Sampling  once a bit, in its middle, through a majority of three cycles: one wrong cycle anywhere in a bit changes nothing. At 4
              cycles a bit the sender's clock may be 2 % off.
    Cost      18 + ceil(log2(divider)) flip-flops.
    """

    def __init__(self, divider: int) -> None:
        assert divider >= 4, "the middle of a bit is not found with fewer samples"
        self.divider = divider
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(8, always_ready=True))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        now, before = Signal(init=1), Signal(2, init=0b11)
        m.submodules.synchroniser = FFSynchronizer(self.rx, now, init=1)
        m.d.sync += before.eq(Cat(now, before[0]))
        line = Signal(init=1)
        m.d.comb += line.eq((now & before[0]) | (now & before[1]) | (before[0] & before[1]))

        timer = Signal(range(self.divider))
        busy, started = Signal(), Signal()
        shift = Signal(9)  # a one starts at the top: it reaches the bottom when eight bits are in
        m.d.comb += self.o.payload.eq(shift[1:])
        with m.If(~busy):
            m.d.sync += [busy.eq(~line), started.eq(0), timer.eq(self.divider // 2 - 1)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += timer.eq(self.divider - 1)
            with m.If(~started):
                m.d.sync += [started.eq(1), shift.eq(1 << 8), busy.eq(~line)]  # a start bit that is gone by its middle was noise
            with m.Elif(~shift[0]):
                m.d.sync += shift.eq(Cat(shift[1:], line))
            with m.Else():
                m.d.sync += busy.eq(0)
                m.d.comb += self.o.valid.eq(line)
        return m


class Transmitter(wiring.Component):
    """Bytes to the line `tx`, which rests high and comes straight from a flip-flop.

    Streams  i: unsigned(8).    divider  clock cycles a bit.
    Timing   the start bit begins one cycle after the transfer; II = 10 * divider.
    Cost     10 + ceil(log2(divider)) flip-flops.
    """

    def __init__(self, divider: int) -> None:
        self.divider = divider
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer = Signal(range(self.divider))
        shift = Signal(10, init=1)  # the stop bit is the last one in it
        m.d.comb += [self.tx.eq(shift[0]), self.i.ready.eq((timer == 0) & (shift == 1))]
        with m.If(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += [shift.eq(Cat(C(0, 1), self.i.payload, C(1, 1))), timer.eq(self.divider - 1)]
        with m.Elif(~self.i.ready):
            m.d.sync += [shift.eq(Cat(shift[1:], C(0, 1))), timer.eq(self.divider - 1)]
        return m
