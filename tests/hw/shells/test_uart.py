"""The UART shell in Amaranth's simulator: values, cycles, faults and how it finds back."""

from __future__ import annotations

import pytest
from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import Endpoint, Stream
from arbonn.hw.shells.protocol import Decoder, Fault, Frame, Info, Kind, Result, encode
from arbonn.hw.shells.uart import UartShell

DIVIDER, TIMEOUT = 4, 600


def tiny_streams(
    lanes: int = 1, classes: int = 3, logit_lanes: int = 1, elements: int = 8, code: str = "UINT5"
) -> tuple[Stream, Stream, Stream]:
    node = Endpoint("tiny", "i")
    return (
        Stream("x", (elements,), datatype(code), lanes, sink=node),
        Stream("label", (1,), datatype("UINT4"), 1, source=node),
        Stream("logits", (classes,), datatype("INT10"), logit_lanes, source=node),
    )


class Tiny(wiring.Component):
    """Logit c = (sum of the elements' codes) * (c + 1) - 200, label = sum modulo 16.

    Timing  label `delay` cycles after the last transfer on x, the first logit in the cycle after it, then one transfer a cycle. x is
            ready for one frame, then waits until its answer is out.
    """

    def __init__(self, x: Stream, label: Stream, logits: Stream, delay: int = 3) -> None:
        self.streams, self.delay = (x, label, logits), delay
        members = {"version": Out(16), "graph_hash": Out(64), "x": In(stream.Signature(unsigned(x.width)))}
        super().__init__({**members, **{s.id: Out(stream.Signature(unsigned(s.width))) for s in (label, logits)}})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        x, _, logits = self.streams
        bits, out = x.dtype.bits, logits.dtype.bits
        m.d.comb += [self.version.eq(0x0102), self.graph_hash.eq(0x1122334455667788)]
        total, seen, wait, row = (
            Signal(out),
            Signal(range(x.transfers + 1)),
            Signal(range(self.delay + 1)),
            Signal(range(logits.transfers + 1)),
        )
        done = seen == x.transfers
        m.d.comb += self.x.ready.eq(~done)
        with m.If(self.x.valid & self.x.ready):
            m.d.sync += [total.eq(total + sum(self.x.payload[k * bits : (k + 1) * bits] for k in range(x.lanes))), seen.eq(seen + 1)]
        m.d.comb += [self.label.payload.eq(total), self.label.valid.eq(done & (wait == self.delay - 1))]
        with m.If(done & (wait != self.delay - 1)):
            m.d.sync += wait.eq(wait + 1)
        sent = Signal()
        with m.If(self.label.valid & self.label.ready):
            m.d.sync += sent.eq(1)
        with m.If(sent):
            m.d.comb += [self.label.valid.eq(0), self.logits.valid.eq(1)]
            with m.If(self.logits.ready):
                m.d.sync += row.eq(row + 1)
                with m.If(row == logits.transfers - 1):
                    m.d.sync += [row.eq(0), sent.eq(0), seen.eq(0), wait.eq(0), total.eq(0)]
        m.d.comb += self.logits.payload.eq(Cat(*((total * (row * logits.lanes + k + 1) - 200)[:out] for k in range(logits.lanes))))
        return m


def tiny_answer(codes: list[int], x: Stream, logits: Stream, delay: int = 3) -> tuple[int, tuple[int, ...], int]:
    """Label, logits and cycles that `Tiny` gives."""
    total = sum(codes) % 1024
    values = tuple((total * (c + 1) - 200 + 512) % 1024 - 512 for c in range(logits.elements))
    return total % 16, values, x.transfers - 1 + delay


class Line:
    """A shell with a `Tiny` behind it, driven at its two wires; what it sends is collected byte by byte."""

    def __init__(self, streams: tuple[Stream, Stream, Stream], delay: int = 3) -> None:
        self.streams = streams
        x, _, logits = streams
        self.info = Info.of(x, logits, 0x0102, 0x1122334455667788)
        self.shell = UartShell(*streams, divider=DIVIDER, timeout=TIMEOUT)
        self.top = Module()
        self.top.submodules.shell = self.shell
        self.top.submodules.tiny = tiny = Tiny(*streams, delay=delay)
        wiring.connect(self.top, self.shell.x, tiny.x)
        wiring.connect(self.top, self.shell.label, tiny.label)
        wiring.connect(self.top, self.shell.logits, tiny.logits)
        self.top.d.comb += [self.shell.version.eq(tiny.version), self.shell.graph_hash.eq(tiny.graph_hash)]
        self.edges: list[int] = []

    def run(self, script) -> list[Frame]:
        """Runs `script(line)`, an async function; returns the frames that came."""
        simulator = Simulator(self.top)
        simulator.add_clock(1e-6)
        self.decoder = Decoder(self.info.answers)
        self.frames: list[Frame] = []

        async def listen(context):
            age, value = 0, 0  # cycles since the start bit began (0: none), bits so far
            while True:
                await context.tick()
                level = context.get(self.shell.tx)
                age = age + 1 if age or not level else 0
                bit, rest = divmod(age - DIVIDER // 2, DIVIDER)
                if age and rest == 0 and 1 <= bit <= 8:
                    value |= level << (bit - 1)
                elif age and rest == 0 and bit == 9:
                    assert level == 1, "no stop bit"
                    self.frames += self.decoder.feed(bytes([value]))
                    age, value = 0, 0

        async def drive(context):
            self.context = context
            await context.tick().repeat(20)
            await script(self)

        simulator.add_testbench(drive)
        simulator.add_testbench(listen, background=True)
        simulator.run()
        assert self.decoder.refused == 0, "the device sent something that is no frame"
        return self.frames

    async def send(self, data: bytes, divider: float = DIVIDER, glitch: int | None = None) -> None:
        """8N1 at `divider` cycles a bit; `glitch` inverts the line for that one cycle."""
        bits = [bit for byte in data for bit in (0, *((byte >> k) & 1 for k in range(8)), 1)]
        for cycle in range(round(len(bits) * divider)):
            bit = bits[min(int(cycle / divider), len(bits) - 1)]
            self.context.set(self.shell.rx, bit ^ (cycle == glitch))
            await self.context.tick()
        self.context.set(self.shell.rx, 1)

    async def answers(self, count: int, limit: int = 20_000) -> None:
        """Waits until `count` frames came in all."""
        for _ in range(limit):
            if len(self.frames) >= count:
                return
            await self.context.tick()
        raise AssertionError(f"{len(self.frames)} of {count} frames after {limit} cycles")

    def expected(self, codes: list[int], delay: int = 3) -> Frame:
        x, _, logits = self.streams
        return Frame(Kind.RESULT, self.info.encode_result(Result(*tiny_answer(codes, x, logits, delay))))


CODES = [3, 31, 0, 7, 16, 1, 2, 30]
SHAPES = {
    "lanes 1": {},
    "lanes 4": {"lanes": 4, "logit_lanes": 3},
    "one transfer": {"lanes": 8, "classes": 4, "logit_lanes": 2},
    "two bytes an element": {"code": "UINT10", "lanes": 2},
    "bits": {"code": "BINARY", "lanes": 8, "classes": 10},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_answers_are_the_accelerators_with_its_cycles(shape):
    streams = tiny_streams(**shape)
    images = [[code & streams[0].dtype.high for code in CODES], [streams[0].dtype.high] * 8, [0] * 8]
    line = Line(streams)

    async def script(line):
        await line.send(encode(Kind.INFO))
        await line.answers(1)
        for number, image in enumerate(images):
            await line.send(line.info.request(image))  # back to back: no pause after the answer's last bit
            await line.answers(2 + number)

    info, *results = line.run(script)
    assert info == Frame(Kind.INFO_ANSWER, line.info.encode())
    assert Info.decode(info.payload) == line.info
    assert results == [line.expected(image) for image in images]


def corrupt(frame: bytes, at: int, value: int) -> bytes:
    return frame[:at] + bytes([value]) + frame[at + 1 :]


def test_faults_are_told_and_the_next_request_is_answered():
    line = Line(tiny_streams())
    good = line.info.request(CODES)
    wrong = {
        Fault.CRC: [corrupt(good, 7, 5), corrupt(good, len(good) - 1, good[-1] ^ 1)],
        Fault.VERSION: [encode(Kind.INFO, version=2), encode(0x77, b"abc", version=9)],
        Fault.KIND: [encode(0x77), encode(0x03, b"abc")],
        Fault.LENGTH: [
            encode(Kind.INFER, b"1234567"),
            encode(Kind.INFER, b"123456789"),
            encode(Kind.INFO, b"1"),
            encode(Kind.INFER, bytes(300)),
        ],
        Fault.SILENCE: [good[:-1], good[:1], good[:4], good[:9]],
    }
    requests = [(fault, frame) for fault, frames in wrong.items() for frame in frames]

    async def script(line):
        for number, (_, frame) in enumerate(requests):
            await line.send(frame)
            await line.answers(2 * number + 1)
            await line.send(good)
            await line.answers(2 * number + 2)

    frames = line.run(script)
    assert frames[::2] == [Frame(Kind.ERROR, bytes([fault])) for fault, _ in requests]
    assert frames[1::2] == [line.expected(CODES)] * len(requests)


def test_garbage_before_a_frame_is_skipped():
    line = Line(tiny_streams())
    good = line.info.request(CODES)

    async def script(line):
        await line.send(bytes(k for k in range(256) if k != 0xA5) + good)
        await line.answers(1)
        line.context.set(line.shell.rx, 0)  # a break: no stop bit for many bytes
        await line.context.tick().repeat(500)
        line.context.set(line.shell.rx, 1)
        await line.context.tick().repeat(50)
        await line.send(good)
        await line.answers(2)

    assert line.run(script) == [line.expected(CODES)] * 2


def test_every_flipped_bit_of_a_request_is_refused():
    line = Line(tiny_streams(elements=2))
    good = line.info.request([9, 17])
    flips = [(at, bit) for at in range(1, len(good)) for bit in range(8)]  # without its sync byte a frame is not seen at all

    async def script(line):
        for number, (at, bit) in enumerate(flips):
            await line.send(corrupt(good, at, good[at] ^ (1 << bit)))
            await line.answers(number + 1)
            await line.context.tick().repeat(TIMEOUT)

    frames = line.run(script)
    assert len(frames) == len(flips)
    assert {frame.kind for frame in frames} == {Kind.ERROR}


@pytest.mark.parametrize("rate", [0.98, 1.0, 1.02])
def test_line_rate_may_be_two_percent_off(rate):
    line = Line(tiny_streams())

    async def script(line):
        await line.send(line.info.request(CODES), divider=DIVIDER * rate)
        await line.answers(1)

    assert line.run(script) == [line.expected(CODES)]


def test_one_wrong_cycle_in_a_byte_changes_nothing():
    line = Line(tiny_streams(elements=2))
    good = line.info.request([9, 17])
    cycles = range(5, 10 * DIVIDER * len(good), 23)

    async def script(line):
        for number, cycle in enumerate(cycles):
            await line.send(good, glitch=cycle)
            await line.answers(number + 1)

    assert line.run(script) == [line.expected([9, 17])] * len(cycles)
