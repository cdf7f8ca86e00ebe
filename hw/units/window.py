"""What units that reduce a window channel by channel share (MaxPool, AccPool, VVAU): its order, its schedule, its running values."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.cost.memory import memory_parts
from arbonn.hw.datatypes import Integers
from arbonn.hw.delay import delayed
from arbonn.hw.graph import Node, Ports
from arbonn.hw.schedule import Control, Mark, Schedule, last
from arbonn.hw.unit_component import UnitComponent


class Windowed(Node):
    """A unit that makes one value a channel of all taps of a window, in the order that an SWG of the same `group` gives them.

    i is read as windows of (C / group, taps, group); o has C channels and one pixel a window. Without an SWG, i may be an image (H, W, C)
    of H * W taps: a global pooling. Nest: (C / group, taps, group / lanes), take i in each step, give o in the last tap's.
    """

    @property
    @abstractmethod
    def window(self) -> tuple[int, int, int]:
        """(taps, group or 0 for all channels, pipeline depth)."""

    def group_of(self, ports: Ports) -> int:
        """Channels that stay together."""
        return self.window[1] or ports["o"].shape[-1]

    def knobs(self, ports: Ports) -> dict[str, tuple[str, int]]:
        return dict.fromkeys(ports, ("PE", self.group_of(ports)))

    def window_problems(self, ports: Ports) -> Iterator[str]:
        """What is not legal about shapes, lanes and group."""
        i, o, (taps, group, _) = ports["i"], ports["o"], self.window
        channels = o.shape[-1]
        pixels = o.elements // channels
        if taps < 1 or i.elements != taps * o.elements or (i.shape[:-1] != o.shape[:-1] and (pixels != 1 or i.shape[-1] != channels)):
            yield f"i {i.shape} and o {o.shape} for windows of {taps} taps"
        elif group < 0 or channels % (group or channels) or (group or channels) % i.lanes or i.lanes != o.lanes:
            yield f"i by {i.lanes} and o by {o.lanes} lanes, group {group} of {channels} channels (lanes divide the group, it divides C)"

    def taps_of(self, x: Integers, ports: Ports) -> Integers:
        """Frames of i as (frames, windows, C / group, taps, group)."""
        group = self.group_of(ports)
        return x.reshape(len(x), -1, ports["o"].shape[-1] // group, self.window[0], group)

    def bounds(self, ports: Ports) -> tuple[int, int, int]:
        """The nest."""
        o, group = ports["o"], self.group_of(ports)
        return o.shape[-1] // group, self.window[0], group // o.lanes

    def control(self, ports: Ports) -> Control:
        bounds = self.bounds(ports)
        return Control((Schedule(bounds, takes=(Mark("i"),), gives=(Mark("o", last(bounds, 1)),), depth=self.window[2]),))

    def kept_parts(self, bits: int, ports: Ports, target: str) -> Parts:
        """Parts of what keeps the running values of a group, with `bits` for each: `delayed`; of one tap nothing is kept."""
        if self.window[0] == 1:
            return Parts()
        width, folds = ports["o"].lanes * bits, self.bounds(ports)[2]
        if folds == 1:
            return amounts(width)
        pointer = (folds - 1).bit_length()
        return memory_parts(folds, width, target, "old") + amounts(pointer, index=pointer)


def running(m: Module, first: Value, taps: list[tuple[Value, Value, Signal]], folds: int, enable: Value) -> list[Signal]:
    """The values of all lanes' windows up to this tap.

    taps: for each lane its value in a window's first tap, else; and the signal in which it finds the value up to the tap before.
    """
    totals = [Signal(previous.shape(), name=f"total_{lane}") for lane, (_, _, previous) in enumerate(taps)]
    for total, (start, joined, _) in zip(totals, taps, strict=True):
        m.d.comb += total.eq(Mux(first, start, joined))
    m.d.comb += Cat(*(previous for _, _, previous in taps)).eq(delayed(m, "kept", Cat(*totals), folds, enable))
    return totals


def lanes_of(component: UnitComponent, port: str) -> list[Value]:
    """Stored bits of each lane of a port's payload."""
    stream, payload = component.streams[port], component.port(port).payload
    return [payload[k * stream.dtype.bits : (k + 1) * stream.dtype.bits] for k in range(stream.lanes)]
