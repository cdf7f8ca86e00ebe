"""The UART shell: an accelerator at the end of a serial line. Frames and faults are those of `protocol.py`."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.crc.catalog import CRC16_IBM_3740
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from arbonn.hw.graph import Stream
from arbonn.hw.shells import protocol
from arbonn.hw.shells.protocol import Fault, Info, Kind
from arbonn.hw.shells.serial import Receiver, Transmitter

FIXED = ("VERSION", "KIND", "LENGTH LOW", "LENGTH HIGH")


class UartShell(wiring.Component):
    """Takes requests from `rx`, runs the accelerator on them, answers on `tx`.

    Streams   x (to the accelerator), label and logits (from it): the graph's own.
    Timing    x gives one transfer a cycle as long as the accelerator takes them; label and logits are always taken. So the cycles it
              counts, from the first transfer on x to the label's, are the timing engine's for one frame without stalls. The answer's
              start bit falls within 8 cycles of the later of the request's last stop bit and the accelerator's last output.
    Stalls    bytes that arrive while it computes or answers are lost.
    Parameters  divider: clock cycles a bit (>= 4).    timeout: cycles of silence within a frame after which it is given up.
    Memory    a frame of x and the logits, in block RAM (one row a transfer).
    Cost      measured on iCE40 with 64 elements of 5 bits, lanes 1, 10 logits of 10 bits: see tests/flows/test_synth.py.
    """

    def __init__(self, x: Stream, label: Stream, logits: Stream, *, divider: int, timeout: int = 1 << 15) -> None:
        self.info = Info.of(x, logits, 0, 0)
        self.streams = {"x": x, "label": label, "logits": logits}
        self.divider, self.timeout = divider, timeout
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "x": Out(stream.Signature(unsigned(x.width))),
                "label": In(stream.Signature(unsigned(label.width))),
                "logits": In(stream.Signature(unsigned(logits.width))),
                "version": In(16),
                "graph_hash": In(64),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = Receiver(self.divider)
        m.submodules.transmitter = transmitter = Transmitter(self.divider)
        m.submodules.crc = crc = CRC16_IBM_3740(data_width=8).create()
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        got, byte = receiver.o.valid, receiver.o.payload
        sent, answer = transmitter.i.valid & transmitter.i.ready, transmitter.i.payload

        infer = Signal()
        fault = Signal(range(max(Fault) + 1))
        left = Signal(16)  # bytes of the payload still to come, or to send
        silence = Signal(range(self.timeout))
        store, restart, run, finished, next_logit_byte = Signal(), Signal(), Signal(), Signal(), Signal()
        cycles = Signal(32)
        self._input(m, store, byte, restart, run)
        self._count(m, cycles, restart)
        label, logit_byte, finished_value = self._output(m, restart, next_logit_byte)
        m.d.comb += finished.eq(finished_value)

        def blame(wrong: Value, why: Fault) -> None:
            with m.If(wrong & (fault == 0)):  # the first fault is the one told
                m.d.sync += fault.eq(why)

        waiting = Signal()
        with m.FSM():
            with m.State("HUNT"):
                m.d.comb += [crc.start.eq(1), restart.eq(1)]
                m.d.sync += fault.eq(0)
                with m.If(got & (byte == protocol.SYNC)):
                    m.next = "GET VERSION"
            following = {name: f"GET {then}" for name, then in zip(FIXED, (*FIXED[1:], ""), strict=True)}
            for name in FIXED:
                with m.State(f"GET {name}"):
                    m.d.comb += [crc.valid.eq(got), waiting.eq(1)]
                    with m.If(got):
                        m.next = following[name]
                        if name == "VERSION":
                            blame(byte != protocol.VERSION, Fault.VERSION)
                        elif name == "KIND":
                            m.d.sync += infer.eq(byte == Kind.INFER)
                            blame((byte != Kind.INFER) & (byte != Kind.INFO), Fault.KIND)
                        elif name == "LENGTH LOW":
                            m.d.sync += left[:8].eq(byte)
                        else:
                            length = Cat(left[:8], byte)
                            m.d.sync += left[8:].eq(byte)
                            blame(length != Mux(infer, self.info.request_bytes, 0), Fault.LENGTH)
                            m.next = "GET PAYLOAD"
                            with m.If(length == 0):
                                m.next = "GET CRC HIGH"
            with m.State("GET PAYLOAD"):
                m.d.comb += [crc.valid.eq(got), store.eq(got), waiting.eq(1)]
                with m.If(got):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        m.next = "GET CRC HIGH"
            for name, then in (("GET CRC HIGH", "GET CRC LOW"), ("GET CRC LOW", "JUDGE")):
                with m.State(name):
                    m.d.comb += [crc.valid.eq(got), waiting.eq(1)]
                    with m.If(got):
                        m.next = then
            with m.State("JUDGE"):
                m.next = "RUN"
                with m.If(crc.crc != 0):  # over its own CRC, a frame's CRC is zero
                    m.d.sync += fault.eq(Fault.CRC)
                    m.next = "SEND SYNC"
                with m.Elif((fault != 0) | ~infer):
                    m.next = "SEND SYNC"
            with m.State("RUN"):
                m.d.comb += run.eq(1)
                with m.If(finished):
                    m.next = "SEND SYNC"

            position = Signal(range(max(protocol.INFO_BYTES, protocol.RESULT_HEAD_BYTES)))
            kind, size = Signal(8), Signal(16)
            with m.If(fault != 0):
                m.d.comb += [kind.eq(Kind.ERROR), size.eq(1)]
            with m.Elif(infer):
                m.d.comb += [kind.eq(Kind.RESULT), size.eq(self.info.result_bytes)]
            with m.Else():
                m.d.comb += [kind.eq(Kind.INFO_ANSWER), size.eq(protocol.INFO_BYTES)]
            with m.State("SEND SYNC"):
                m.d.comb += [crc.start.eq(1), answer.eq(protocol.SYNC), transmitter.i.valid.eq(1)]
                m.d.sync += [left.eq(size), position.eq(0)]
                with m.If(sent):
                    m.next = "SEND VERSION"
            header = dict(zip(FIXED, (protocol.VERSION, kind, size[:8], size[8:]), strict=True))
            following = {name: f"SEND {then}" for name, then in zip(FIXED, (*FIXED[1:], "PAYLOAD"), strict=True)}
            for name, value in header.items():
                with m.State(f"SEND {name}"):
                    m.d.comb += [answer.eq(value), transmitter.i.valid.eq(1), crc.valid.eq(sent)]
                    with m.If(sent):
                        m.next = following[name]
            with m.State("SEND PAYLOAD"):
                in_logits = infer & (position == protocol.RESULT_HEAD_BYTES)
                m.d.comb += [transmitter.i.valid.eq(1), crc.valid.eq(sent), next_logit_byte.eq(sent & in_logits)]
                with m.If(fault != 0):
                    m.d.comb += answer.eq(fault)
                with m.Elif(in_logits):
                    m.d.comb += answer.eq(logit_byte)
                with m.Elif(infer):
                    m.d.comb += answer.eq(_bytes(position, Cat(_extend(label, 16), cycles)))
                with m.Else():
                    m.d.comb += answer.eq(_bytes(position, self._info_answer()))
                with m.If(sent):
                    m.d.sync += left.eq(left - 1)
                    with m.If(~in_logits):
                        m.d.sync += position.eq(position + 1)
                    with m.If(left == 1):
                        m.next = "SEND CRC HIGH"
            for name, then, value in (("SEND CRC HIGH", "SEND CRC LOW", crc.crc[8:]), ("SEND CRC LOW", "HUNT", crc.crc[:8])):
                with m.State(name):
                    m.d.comb += [answer.eq(value), transmitter.i.valid.eq(1)]
                    with m.If(sent):
                        m.next = then

            m.d.sync += silence.eq(Mux(waiting & ~got, silence + 1, 0))
            # The timeout belongs to all waiting states, so it stands in the one place that is elaborated after them.
            with m.If(silence == self.timeout - 1):
                m.d.sync += fault.eq(Fault.SILENCE)
        return m
