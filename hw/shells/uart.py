"""The UART shell: an accelerator at the end of a serial line. Frames and faults are those of `protocol.py`."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.crc.catalog import CRC16_IBM_3740
from amaranth.lib.wiring import In, Out, connect

from arbonn.hw.graph import Stream
from arbonn.hw.shells import protocol
from arbonn.hw.shells.answer import AnswerSender
from arbonn.hw.shells.buffers import InputBuffer, ResultBuffer
from arbonn.hw.shells.protocol import Info, Kind
from arbonn.hw.shells.request import RequestReceiver
from arbonn.hw.shells.serial import Receiver, Transmitter

_SIZES = 10  # where the payload of INFO_ANSWER stops to be the accelerator's own
TIMEOUT = 1 << 15  # cycles of silence: at 12 MHz 2.7 ms, more than the gaps a USB bridge leaves between its packets


class UartShell(wiring.Component):
    """Takes requests from `rx`, runs the accelerator on them, answers on `tx`.

    Streams   x (to the accelerator), label and logits (from it): the graph's own, as in `arbonn.hw.accelerator`.
    Signals   version, graph_hash: what INFO answers, from the accelerator.
    Timing    x gives one transfer a cycle as long as the accelerator takes them; label and logits are always taken. So the cycles of
              RESULT are the timing engine's, from the first transfer on x to the label's, for one frame without stalls.
    Stalls    bytes that arrive while it computes or answers are lost.
    Parameters  divider: clock cycles a bit, at least 4.    timeout: cycles of silence within a frame after which it is given up.
    """

    def __init__(self, x: Stream, label: Stream, logits: Stream, *, divider: int, timeout: int = TIMEOUT) -> None:
        self.info = Info.of(x, logits, 0, 0)
        self.ends = (x, label, logits)
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
        x, label, logits = self.ends
        m.submodules.receiver = receiver = Receiver(self.divider)
        m.submodules.transmitter = transmitter = Transmitter(self.divider)
        m.submodules.requests = requests = RequestReceiver(self.info.request_bytes, self.timeout)
        m.submodules.answers = answers = AnswerSender()
        m.submodules.input = source = InputBuffer(x)
        m.submodules.result = result = ResultBuffer(label, logits)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        m.submodules.crc = crc = CRC16_IBM_3740(data_width=8).create()  # one for both ways: they never run at once
        answering = requests.o.valid
        m.d.comb += [
            crc.start.eq(Mux(answering, answers.crc.start, requests.crc.start)),
            crc.valid.eq(Mux(answering, answers.crc.valid, requests.crc.valid)),
            crc.data.eq(Mux(answering, answers.crc.data, requests.crc.data)),
            requests.crc.value.eq(crc.crc),
            answers.crc.value.eq(crc.crc),
        ]
        connect(m, receiver.o, requests.i)
        connect(m, answers.o, transmitter.i)
        connect(m, wiring.flipped(self.label), result.label)
        connect(m, wiring.flipped(self.logits), result.logits)
        connect(m, source.o, wiring.flipped(self.x))

        request = requests.o
        good = request.valid & (request.p.fault == 0)
        m.d.comb += [
            source.clear.eq(requests.hunting),
            result.clear.eq(requests.hunting),
            source.store.eq(requests.store),
            source.byte.eq(requests.byte),
            requests.full.eq(source.full),
            source.run.eq(good & request.p.infer),
            result.begin.eq(self.x.valid & self.x.ready),
            request.ready.eq(answers.done),  # until then it stands: no request is taken while another is answered
        ]
        position = Signal(range(protocol.INFO_BYTES))
        told = Cat(
            self.version, self.graph_hash, Const(int.from_bytes(self.info.encode()[_SIZES:], "little"), 8 * (protocol.INFO_BYTES - _SIZES))
        )
        m.d.comb += answers.start.eq(request.valid & (~source.run | result.complete))
        with m.If(request.p.fault != 0):
            m.d.comb += [answers.kind.eq(Kind.ERROR), answers.length.eq(1), answers.last.eq(1), answers.payload.payload.eq(request.p.fault)]
        with m.Elif(request.p.infer):
            m.d.comb += [answers.kind.eq(Kind.RESULT), answers.length.eq(self.info.result_bytes), answers.last.eq(result.last)]
            m.d.comb += [answers.payload.payload.eq(result.o.payload), result.o.ready.eq(answers.payload.ready)]
        with m.Else():
            m.d.comb += [answers.kind.eq(Kind.INFO_ANSWER), answers.length.eq(protocol.INFO_BYTES)]
            m.d.comb += answers.last.eq(position == protocol.INFO_BYTES - 1)
            with m.Switch(position):
                for at in range(protocol.INFO_BYTES):
                    with m.Case(at):
                        m.d.comb += answers.payload.payload.eq(told[8 * at : 8 * at + 8])
        m.d.comb += answers.payload.valid.eq(1)
        with m.If(answers.payload.ready):
            m.d.sync += position.eq(position + 1)
        with m.If(requests.hunting):
            m.d.sync += position.eq(0)
        return m
