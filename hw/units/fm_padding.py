"""FMPadding: a border around an image, for a Pad that no SWG behind it can take over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module, Mux, Signal

from arbonn.hw.cost.control import control_parts
from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Node, Ports
from arbonn.hw.schedule import Add, Control, Mark, Need, Schedule, at
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent
from arbonn.hw.units.padding import padded_word, padding_problems, widened

WORDS = 2  # between its two schedules: the fewest that pass a word in every cycle


@dataclass(frozen=True, eq=False)
class FMPadding(Node):
    """o = i with `value` in `padding` = (top, left, bottom, right) rows and columns around it.

    Parameters  value: what the border holds (-1 or +1 for BIPOLAR; 0 makes the output TERNARY).
    Streams     i: (H, W, C).  o: (top + H + bottom, left + W + right, C). Equal lanes.
    Timing      one step a transfer of o, from the frame's first word on: first_out = 2; interval = transfers of o.
                A frame's border waits for its first word: else the next frame's would be given unasked.
    Stalls      a rigid pipeline of 1; i waits while two words do.    Memory  two words, in registers.
    """

    padding: tuple[int, int, int, int]
    value: int = 0
    depth: int = 1

    def problems(self, ports: Ports) -> Iterator[str]:
        i, o = ports["i"], ports["o"]
        if len(i.shape) != 3 or len(self.padding) != 4 or min(self.padding) < 0:
            yield f"i {i.shape}, padding {self.padding} (three axes, and rows and columns of 0 or more)"
            return
        (h, w, c), (top, left, bottom, right) = i.shape, self.padding
        if o.shape != (h + top + bottom, w + left + right, c) or i.lanes != o.lanes:
            yield f"i {i.shape} by {i.lanes} and o {o.shape} by {o.lanes} lanes, padding {self.padding}"
        elif self.depth != 1:
            yield f"depth {self.depth} (1 allowed)"
        yield from padding_problems(i.dtype, o.dtype, self.value, any(self.padding))

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        top, left, bottom, right = self.padding
        return {"o": np.pad(inputs["i"], ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=self.value)}

    def control(self, ports: Ports) -> Control:
        """A buffer of two words and the border behind it, joined by `held`, the words in the buffer."""
        (h, w, c), (top, left, _, _), o = ports["i"].shape, self.padding, ports["o"]
        bounds = (o.shape[0], o.shape[1], c // o.lanes)
        inside = (*at(bounds, 0, top, top + h), *at(bounds, 1, left, left + w))
        start = tuple(cond for level in range(3) for cond in at(bounds, level, 0))
        writer = Schedule((1,), takes=(Mark("i"),), needs=(Need("held", -1, (0,), 1 - WORDS),), adds=(Add("held", (1, 1)),))
        needs = (Need("held", 1, (0, 0, 0), 1, inside), Need("held", 1, (0, 0, 0), 1, start))
        adds, flags = (Add("held", (-1,) * 4, inside),), (Mark("inside", inside),)
        reader = Schedule(bounds, gives=(Mark("o"),), needs=needs, adds=adds, depth=self.depth, flags=flags)
        return Control((writer, reader), {"held": 0})

    def parts(self, ports: Ports, target: str) -> Parts:
        i, o = ports["i"], ports["o"]
        return control_parts(self.control(ports)) + amounts(2 * i.width + o.width + 2, multiplexer=i.width, padding=o.width)

    def component(self, ports: Ports) -> UnitComponent:
        return FMPaddingComponent(self, ports)


class FMPaddingComponent(UnitComponent):
    """Two words written and read in turn; then one register."""

    node: FMPadding

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        writer, reader = sequencers
        i, o = self.streams["i"], self.streams["o"]
        even, odd = Signal(i.width), Signal(i.width)
        writes_odd, reads_odd = Signal(), Signal()
        inside = reader.flag["inside"]
        with m.If(writer.fire):
            m.d.sync += writes_odd.eq(~writes_odd)
            with m.If(writes_odd):
                m.d.sync += odd.eq(self.port("i").payload)
            with m.Else():
                m.d.sync += even.eq(self.port("i").payload)
        with m.If(reader.fire & inside):
            m.d.sync += reads_odd.eq(~reads_odd)
        word = widened(Mux(reads_odd, odd, even), i.dtype, o.dtype)
        with m.If(reader.move):
            m.d.sync += self.port("o").payload.eq(Mux(inside, word, padded_word(self.node.value, o.lanes, o.dtype)))
