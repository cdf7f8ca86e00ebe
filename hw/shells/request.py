"""Takes request frames from a byte stream and judges them."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from arbonn.hw.shells import protocol
from arbonn.hw.shells.protocol import Fault, Kind

Request = data.StructLayout({"infer": 1, "fault": 3})  # fault 0: a good request, INFER or INFO
Crc = wiring.Signature({"start": Out(1), "valid": Out(1), "data": Out(8), "value": In(16)})  # of amaranth.lib.crc's Processor

_HEADER = ("VERSION", "KIND", "LENGTH LOW", "LENGTH HIGH")


class RequestReceiver(wiring.Component):
    """Hunts for a sync byte, takes a frame, gives its judgement; the payload's bytes pass by on `byte` before it is judged.

    Streams   i: unsigned(8), always ready; bytes that come while o is valid are lost.    o: Request.
    Signals   store: a byte of a payload is on `byte`.    full: with `store`, it is the last one.    hunting: between frames.
              crc: the checksum's unit, its own until o is valid.
    Timing    o is valid 2 cycles after the transfer of the frame's last byte. A wrong header is told after `timeout` cycles of silence
              (how long that frame is, nobody knows), and so is a frame that breaks off.
    Stalls    o holds until taken.
    Parameters  request_bytes: the payload of INFER.    timeout: cycles of silence that end a frame.
    """

    def __init__(self, request_bytes: int, timeout: int) -> None:
        self.request_bytes, self.timeout = request_bytes, timeout
        streams = {"i": In(stream.Signature(8, always_ready=True)), "o": Out(stream.Signature(Request))}
        super().__init__({**streams, "crc": Out(Crc), "store": Out(1), "byte": Out(8), "full": In(1), "hunting": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        got, byte = self.i.valid, self.i.payload
        infer, fault = Signal(), Signal(range(max(Fault) + 1))
        m.d.comb += [self.byte.eq(byte), self.crc.data.eq(byte), self.o.p.infer.eq(infer), self.o.p.fault.eq(fault)]

        silence = Signal(range(self.timeout))
        silent = silence == self.timeout - 1
        m.d.sync += silence.eq(Mux(got | self.hunting, 0, silence + 1))

        def within_frame() -> None:
            m.d.comb += self.crc.valid.eq(got)
            with m.If(silent):
                m.d.sync += fault.eq(Fault.SILENCE)
                m.next = "ANSWER"

        length = Mux(infer, Const(self.request_bytes, 16), 0)
        header: dict[str, tuple[Any, Fault]] = {
            "VERSION": (byte == protocol.VERSION, Fault.VERSION),
            "KIND": ((byte == Kind.INFER) | (byte == Kind.INFO), Fault.KIND),
            "LENGTH LOW": (byte == length[:8], Fault.LENGTH),
            "LENGTH HIGH": (byte == length[8:], Fault.LENGTH),
        }
        with m.FSM():
            with m.State("HUNT"):
                m.d.comb += [self.crc.start.eq(1), self.hunting.eq(1)]
                m.d.sync += fault.eq(0)
                with m.If(got & (byte == protocol.SYNC)):
                    m.next = "VERSION"
            for name, then in zip(_HEADER, (*_HEADER[1:], "PAYLOAD"), strict=True):
                right, why = header[name]
                with m.State(name):
                    within_frame()
                    with m.If(got):
                        m.next = then
                        if name == "KIND":
                            m.d.sync += infer.eq(byte == Kind.INFER)
                        if name == "LENGTH HIGH":
                            with m.If(~infer):
                                m.next = "CRC HIGH"
                        with m.If(~right):
                            m.d.sync += fault.eq(why)
                            m.next = "DRAIN"
            with m.State("PAYLOAD"):
                within_frame()
                m.d.comb += self.store.eq(got)
                with m.If(got & self.full):
                    m.next = "CRC HIGH"
            for name, then in (("CRC HIGH", "CRC LOW"), ("CRC LOW", "JUDGE")):
                with m.State(name):
                    within_frame()
                    with m.If(got):
                        m.next = then
            with m.State("JUDGE"):
                with m.If(self.crc.value != 0):  # over its own CRC, a frame's CRC is zero
                    m.d.sync += fault.eq(Fault.CRC)
                m.next = "ANSWER"
            with m.State("DRAIN"), m.If(silent):
                m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "HUNT"
        return m
