"""Frames answers and gives them as a byte stream."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from arbonn.hw.shells import protocol
from arbonn.hw.shells.request import Crc


class AnswerSender(wiring.Component):
    """Puts header and CRC around a payload.

    Streams   payload: unsigned(8), from a source that always has the next byte.    o: unsigned(8).
    Signals   start: send a frame; `kind` and `length` hold until done.    last: the payload's byte is its last one.
              done: the frame's last byte goes in this cycle.    crc: the checksum's unit, its own from `start` to `done`.
    Timing    o is valid in the cycle of `start`, and from then until `done` in every cycle.
    Stalls    o holds until taken.
    """

    def __init__(self) -> None:
        streams = {"payload": In(stream.Signature(8)), "o": Out(stream.Signature(8))}
        signals = {"start": In(1), "last": In(1), "done": Out(1), "kind": In(8), "length": In(16)}
        super().__init__({**streams, **signals, "crc": Out(Crc)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sent = self.o.valid & self.o.ready
        m.d.comb += [self.crc.data.eq(self.o.payload), self.o.valid.eq(1)]
        covered = (
            ("VERSION", "KIND", protocol.VERSION),
            ("KIND", "LENGTH LOW", self.kind),
            ("LENGTH LOW", "LENGTH HIGH", self.length[:8]),
            ("LENGTH HIGH", "PAYLOAD", self.length[8:]),
        )
        with m.FSM():
            with m.State("SYNC"):
                m.d.comb += [self.o.valid.eq(self.start), self.o.payload.eq(protocol.SYNC), self.crc.start.eq(1)]
                with m.If(sent):
                    m.next = "VERSION"
            for name, then, value in covered:
                with m.State(name):
                    m.d.comb += [self.o.payload.eq(value), self.crc.valid.eq(sent)]
                    with m.If(sent):
                        m.next = then
            with m.State("PAYLOAD"):
                m.d.comb += [self.o.payload.eq(self.payload.payload), self.payload.ready.eq(self.o.ready), self.crc.valid.eq(sent)]
                with m.If(sent & self.last):
                    m.next = "CRC HIGH"
            for name, then, value in (("CRC HIGH", "CRC LOW", self.crc.value[8:]), ("CRC LOW", "SYNC", self.crc.value[:8])):
                with m.State(name):
                    m.d.comb += self.o.payload.eq(value)
                    with m.If(sent):
                        m.next = then
                        if then == "SYNC":
                            m.d.comb += self.done.eq(1)
        return m
