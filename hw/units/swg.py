"""SWG: sliding window generator, the line buffer that turns an image into the windows of a convolution or a pooling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib.memory import Memory

from arbonn.hw.address import address
from arbonn.hw.cost.control import control_parts
from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.cost.memory import memory_parts
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Node, Ports
from arbonn.hw.schedule import Add, Cond, Control, Mark, Need, Schedule, at, carry_deltas
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent
from arbonn.hw.units.padding import padded_word, padding_problems, widened


@dataclass(frozen=True, eq=False)
class SWG(Node):
    """o[y, x] = the window of i at (y * stride - top, x * stride - left): KH * KW taps, `value` where a tap lies outside the image.

    Parameters  kernel, stride, dilation: (vertical, horizontal). padding: (top, left, bottom, right), each less than the window's extent.
                value: what padding holds (-1 or +1 for BIPOLAR; 0 makes the output TERNARY). pixels: what the line buffer holds.
                group: channels that stay together in a window, 0 = all C. A window's order is (C / group, KH, KW, group): with all C it
                is (KH, KW, C); with less, each group's taps come together (depth-wise and grouped layers).
    Streams     i: (H, W, C).  o: (OH, OW, KH * KW * C), OH = (H + top + bottom - extent) // stride + 1, extent = dilation * (KH - 1) + 1.
                Equal lanes, which divide the group; CF = C / lanes. A 1-D signal has H or W of 1.
    Timing      writer: take a word while the buffer has room. reader: for each tap in order: wait until it is there; give it.
                first_out = 2 (a frame's first tap waits for its first word, and for no more even where it is padded);
                interval = max(H * W * CF, OH * OW * KH * KW * CF) with enough pixels: no bubble between windows, rows or frames.
                The least that works, (extent_v - 1) * W + extent_h, is enough for stride 1 with "same" padding and a kernel over 1.
    Stalls      the reader is a rigid pipeline of 1; i waits only while the buffer is full.
    Memory      pixels * CF words of the input stream's width.
    """

    kernel: tuple[int, int]
    pixels: int
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    value: int = 0
    group: int = 0
    depth: int = 1

    def extent(self) -> tuple[int, int]:
        """Rows and columns that a window spans."""
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        return dh * (kh - 1) + 1, dw * (kw - 1) + 1

    def windows(self, ports: Ports) -> tuple[int, int]:
        """(OH, OW)."""
        (h, w, _), (eh, ew), (top, left, bottom, right) = ports["i"].shape, self.extent(), self.padding
        return (h + top + bottom - eh) // self.stride[0] + 1, (w + left + right - ew) // self.stride[1] + 1

    def least_pixels(self, ports: Ports) -> int:
        """Pixels from a window's first tap to its last: with fewer, the reader would wait for what the writer has no room for."""
        (eh, ew), w = self.extent(), ports["i"].shape[1]
        return (eh - 1) * w + ew

    def knobs(self, ports: Ports) -> dict[str, tuple[str, int]]:
        return dict.fromkeys(ports, ("SIMD", self.group or ports["i"].shape[-1]))

    def sizes(self, ports: Ports) -> range:
        least, (h, w, _) = self.least_pixels(ports), ports["i"].shape
        return range(least, least + h * w + 2)

    def sized(self, size: int) -> SWG:
        return replace(self, pixels=size)

    def problems(self, ports: Ports) -> Iterator[str]:
        i, o = ports["i"], ports["o"]
        if len(i.shape) != 3 or len(o.shape) != 3:
            yield f"i {i.shape} and o {o.shape} (both have three axes)"
            return
        if min(*self.kernel, *self.stride, *self.dilation) < 1 or min(self.padding) < 0 or len(self.padding) != 4:
            yield f"kernel {self.kernel}, stride {self.stride}, dilation {self.dilation}, padding {self.padding}"
            return
        (h, w, c), (eh, ew), (top, left, bottom, right) = i.shape, self.extent(), self.padding
        if max(top, bottom) >= eh or max(left, right) >= ew:
            yield f"padding {self.padding} of windows that span {eh} x {ew} (less allowed; an FMPadding in front can add any)"
        elif h + top + bottom < eh or w + left + right < ew:
            yield f"windows that span {eh} x {ew} in an image of {h + top + bottom} x {w + left + right}"
        elif o.shape != (*self.windows(ports), self.kernel[0] * self.kernel[1] * c):
            yield f"o {o.shape} for windows of shape {(*self.windows(ports), self.kernel[0] * self.kernel[1] * c)}"
        elif self.group < 0 or c % (self.group or c) or (self.group or c) % i.lanes or i.lanes != o.lanes:
            yield f"i by {i.lanes} and o by {o.lanes} lanes, group {self.group} of {c} channels (lanes divide the group, it divides C)"
        elif not self.least_pixels(ports) <= self.pixels <= 1 << 24:
            yield f"a buffer of {self.pixels} pixels ({self.least_pixels(ports)} .. 2^24 allowed)"
        elif self.depth != 1:
            yield f"depth {self.depth} (1 allowed)"
        else:
            yield from padding_problems(i.dtype, o.dtype, self.value, any(self.padding))

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        x, (oh, ow), (kh, kw) = inputs["i"], self.windows(ports), self.kernel
        top, left, bottom, right = self.padding
        image = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=self.value)
        rows = self.stride[0] * np.arange(oh)[:, None] + self.dilation[0] * np.arange(kh)
        columns = self.stride[1] * np.arange(ow)[:, None] + self.dilation[1] * np.arange(kw)
        taps = image[:, rows[:, None, :, None], columns[None, :, None, :]]  # (frames, OH, OW, KH, KW, C)
        grouped = taps.reshape(len(x), oh, ow, kh * kw, -1, self.group or x.shape[-1]).swapaxes(3, 4)
        return {"o": grouped.reshape(len(x), *ports["o"].shape)}

    def reader_bounds(self, ports: Ports) -> tuple[int, ...]:
        """The reader's nest: (OH, OW, C / group, KH, KW, group / lanes)."""
        i = ports["i"]
        group = self.group or i.shape[-1]
        return (*self.windows(ports), i.shape[-1] // group, *self.kernel, group // i.lanes)

    def forms(self, ports: Ports) -> tuple[tuple[int, ...], tuple[int, ...], int]:
        """Words of the frame as forms over the reader's nest: the window's start, the tap from there; and padded words before (0, 0)."""
        i, group = ports["i"], self.group or ports["i"].shape[-1]
        folds, row = i.shape[-1] // i.lanes, i.shape[1] * (i.shape[-1] // i.lanes)
        base = (self.stride[0] * row, self.stride[1] * folds, 0, 0, 0, 0)
        tap = (0, 0, group // i.lanes, self.dilation[0] * row, self.dilation[1] * folds, 1)
        return base, tap, self.padding[0] * row + self.padding[1] * folds

    def control(self, ports: Ports) -> Control:
        """One counter: `held` = words written - the word where the window starts (which may lie before the frame, or ahead of the writer).

        No edge is special: moving a window releases a number of words that depends only on which loops wrap, and a padded tap needs none.
        The frame's first tap waits for its first word even if it is padded: else the next frame's padding would be given unasked.
        """
        i, bounds = ports["i"], self.reader_bounds(ports)
        (h, w, _), words = i.shape, self.pixels * (i.shape[-1] // i.lanes)
        base, tap, before = self.forms(ports)
        release = [-d for d in carry_deltas(bounds, base)]
        release[-1] -= i.transfers
        row = Cond((self.stride[0], 0, 0, self.dilation[0], 0, 0), -self.padding[0], 0, h)
        column = Cond((0, self.stride[1], 0, 0, self.dilation[1], 0), -self.padding[1], 0, w)
        real = (row, column)
        start = tuple(cond for level in range(len(bounds)) for cond in at(bounds, level, 0))
        needs = [Need("held", 1, tap, 1, real)]
        needs += [Need("held", 1, (0,) * len(bounds), before + 1, start)] if before else []
        writer = Schedule((1,), takes=(Mark("i"),), needs=(Need("held", -1, (0,), 1 - words),), adds=(Add("held", (1, 1)),))
        adds, flags = (Add("held", tuple(release)),), (Mark("real", real),)
        reader = Schedule(bounds, gives=(Mark("o"),), needs=tuple(needs), adds=adds, depth=self.depth, flags=flags)
        return Control((writer, reader), {"held": before})

    def parts(self, ports: Ports, target: str) -> Parts:
        i, o = ports["i"], ports["o"]
        words = self.pixels * (i.shape[-1] // i.lanes)
        pointer = (words - 1).bit_length()
        found = control_parts(self.control(ports)) + memory_parts(words, i.width, target, "old")
        uneven = pointer if words & (words - 1) else 0
        padded = o.width if any(self.padding) else 0
        return found + amounts(2 * pointer + 1, index=pointer, uneven_index=uneven, address=pointer, padding=padded)

    def component(self, ports: Ports) -> UnitComponent:
        return SWGComponent(self, ports)


class SWGComponent(UnitComponent):
    """A memory written in order and read at window start + tap, both modulo its size: an accumulator with a constant for each carry."""

    node: SWG

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        writer, reader = sequencers
        node, i, o = self.node, self.streams["i"], self.streams["o"]
        words = node.pixels * (i.shape[-1] // i.lanes)
        m.submodules.memory = memory = Memory(shape=unsigned(i.width), depth=words, init=[])
        write, read = memory.write_port(), memory.read_port()

        tail = Signal(range(words))
        with m.If(writer.fire):
            m.d.sync += tail.eq(Mux(tail == words - 1, 0, tail + 1))
        m.d.comb += [write.addr.eq(tail), write.data.eq(self.port("i").payload), write.en.eq(writer.fire)]

        base, tap, before = node.forms(self.streams)
        form = tuple(b + t for b, t in zip(base, tap, strict=True))
        moves = list(carry_deltas(node.reader_bounds(self.streams), form))
        moves[-1] += i.transfers
        head = address(m, "head", reader, moves, words, -before)
        m.d.comb += [read.addr.eq(head), read.en.eq(reader.move)]

        real = Signal(init=1)
        with m.If(reader.move):
            m.d.sync += real.eq(reader.flag["real"])
        tap_word = widened(read.data, i.dtype, o.dtype)
        padded = padded_word(node.value, o.lanes, o.dtype) if any(node.padding) else tap_word
        m.d.comb += self.port("o").payload.eq(Mux(real, tap_word, padded))
