"""A graph that grows at its ends, on unfolded streams: one unit behind another, and where branches part and meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from arbonn.flows.lowering.linear import Linear
from arbonn.flows.lowering.window import Window
from arbonn.hw.datatypes import DataType, Integers, datatype
from arbonn.hw.graph import Endpoint, Node, Stream
from arbonn.hw.units.acc_pool import AccPool
from arbonn.hw.units.add_streams import AddStreams
from arbonn.hw.units.concat import Concat
from arbonn.hw.units.duplicate_streams import DuplicateStreams
from arbonn.hw.units.dwc import DWC
from arbonn.hw.units.fm_padding import FMPadding
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.max_pool import MaxPool
from arbonn.hw.units.shuffle import Shuffle
from arbonn.hw.units.split import Split
from arbonn.hw.units.swg import SWG

Border = tuple[int, int, int, int]
WIDEST = 16  # outputs of one DuplicateStreams, inputs of one AddStreams


class Chain:
    """Nodes and streams; `last` is the stream number `end`, behind which the next unit is put."""

    def __init__(self, first: Stream) -> None:
        self.nodes: list[Node] = []
        self.streams = [first]
        self.end = 0
        self.numbers: Counter[str] = Counter()

    @property
    def last(self) -> Stream:
        return self.streams[self.end]

    def name(self, kind: str) -> str:
        """The next id of a kind of unit."""
        self.numbers[kind] += 1
        return f"{kind}_{self.numbers[kind] - 1}"

    def append(self, node: Node, shape: tuple[int, ...], dtype: DataType, lanes: int = 1) -> None:
        """A unit with ports i and o behind the end; a line buffer gets all the room that it can use, which folding cuts down."""
        if isinstance(node, SWG):
            node = node.sized(node.sizes({"i": self.last})[-1])
        self.put(node, {"i": self.end}, {"o": (shape, dtype)}, lanes)

    def put(self, node: Node, taken: dict[str, int], given: dict[str, tuple[tuple[int, ...], DataType]], lanes: int = 1) -> list[int]:
        """A unit with any ports; returns the numbers of the streams that it gives, and the first is the new end."""
        for port, number in taken.items():
            self.streams[number] = replace(self.streams[number], sink=Endpoint(node.id, port))
        self.nodes.append(node)
        self.end = len(self.streams)
        for port, (shape, dtype) in given.items():
            self.streams.append(Stream(f"{node.id}_{port}", shape, dtype, lanes, source=Endpoint(node.id, port)))
        return list(range(self.end, len(self.streams)))

    def fork(self, count: int) -> list[int]:
        """The end as `count` streams."""
        shape, dtype = self.last.shape, self.last.dtype
        first = min(count, WIDEST if count <= WIDEST else WIDEST - 1)
        outputs = first + (count > first)
        node = DuplicateStreams(self.name("duplicate_streams"), outputs)
        made = self.put(node, {"i": self.end}, dict.fromkeys(node.gives, (shape, dtype)))
        if count > first:
            self.end = made.pop()
            made += self.fork(count - first) if count - first > 1 else [self.end]
        return made

    def add(self, ends: Sequence[int], dtype: DataType, origin: tuple[str, ...]) -> None:
        """The sum of several ends."""
        node = AddStreams(self.name("add_streams"), len(ends), origin=origin)
        self.put(node, dict(zip(node.takes, ends, strict=True)), {"o": (self.streams[ends[0]].shape, dtype)})

    def concat(self, ends: Sequence[int], origin: tuple[str, ...]) -> None:
        """The channels of several ends, one after the other."""
        node, first = Concat(self.name("concat"), len(ends), origin=origin), self.streams[ends[0]]
        channels = sum(self.streams[end].shape[-1] for end in ends)
        self.put(node, dict(zip(node.takes, ends, strict=True)), {"o": ((*first.shape[:-1], channels), first.dtype)})

    def split(self, channels: Sequence[int], origin: tuple[str, ...]) -> list[int]:
        """The end's channels in parts of so many."""
        node, shape, dtype = Split(self.name("split"), len(channels), origin=origin), self.last.shape, self.last.dtype
        given = {p: ((*shape[:-1], count), dtype) for p, count in zip(node.gives, channels, strict=True)}
        return self.put(node, {"i": self.end}, given)

    def shuffle(self, order: Integers, origin: tuple[str, ...]) -> None:
        """The end's channels in another order: a unit of whole pixels, between width converters."""
        shape, dtype = self.last.shape, self.last.dtype
        if np.array_equal(order, np.arange(shape[-1])):
            return
        self.append(DWC(self.name("dwc")), shape, dtype, shape[-1])
        self.append(Shuffle(self.name("shuffle"), order, origin=origin), shape, dtype, shape[-1])
        self.append(DWC(self.name("dwc")), shape, dtype)

    def lookup(self, table: Integers, dtype: DataType, low: int, origin: tuple[str, ...]) -> None:
        """A Lookup of values (levels, channels); one row where all channels agree."""
        rows = table.T[:1] if (table == table[:, :1]).all() else table.T
        self.append(Lookup(self.name("lookup"), np.ascontiguousarray(rows), low, origin=origin), self.last.shape, dtype)

    def windows(self, window: Window, value: int, border: Border, edge: int, origin: tuple[str, ...]) -> None:
        """The windows of an image with `border` of `edge` around it, padded by `value`: by one SWG where it can do all of it.

        One pixel a window needs no unit. Behind BIPOLAR, padding by 0 gives TERNARY.
        """
        if any(border):
            both = _added(border, window.padding)
            if (not any(window.padding) or value == edge) and _fits(both, window):
                window, value = replace(window, padding=both), edge
            else:
                self.pad(border, edge, origin)
        if not _fits(window.padding, window):
            self.pad(window.padding, value, origin)
            window = replace(window, padding=(0, 0, 0, 0))
        if window.is_point:
            return
        dtype = _padded(self.last.dtype, value, window.padding)
        shape = (*window.output(self.last.shape), window.taps * self.last.shape[-1])
        node = SWG(self.name("swg"), window.kernel, 1 << 24, window.stride, window.dilation, window.padding, value, origin=origin)
        self.append(node, shape, dtype)

    def pad(self, border: Border, value: int, origin: tuple[str, ...]) -> None:
        """A border around the image by a unit of its own."""
        (top, left, bottom, right), (h, w, channels) = border, self.last.shape
        dtype = _padded(self.last.dtype, value, border)
        self.append(FMPadding(self.name("fm_padding"), border, value, origin=origin), (h + top + bottom, w + left + right, channels), dtype)

    def max_pool(self, window: Window, least: int, border: Border, edge: int, origin: tuple[str, ...]) -> None:
        """The greatest of each window; `least` is no greater than any value, and stands for what lies outside."""
        whole = window.covers(self.last.shape) and not any(border)
        shape = (*window.output(_grown(self.last.shape, border)), self.last.shape[-1])
        if not whole:
            self.windows(window, least, border, edge, origin)
        self.append(MaxPool(self.name("max_pool"), window.taps, origin=origin), shape, self.last.dtype)

    def linear_windows(self, linear: Linear, zero: int, edge: int) -> None:
        """What stands between a stream and the unit of a linear operator on it."""
        origin = (linear.node,)
        if linear.window is not None:
            if not (linear.sums and linear.window.covers(linear.shape) and not any(linear.border)):
                self.windows(linear.window, zero, linear.border, edge, origin)
        elif len(self.last.shape) == 3 and self.last.shape[:2] != (1, 1):
            self.windows(Window((self.last.shape[0], self.last.shape[1])), 0, (0, 0, 0, 0), 0, origin)

    def vector(self) -> None:
        """An image of one pixel as a vector: the maximum of one."""
        if len(self.last.shape) == 3:
            self.append(MaxPool(self.name("max_pool"), 1), self.last.shape[2:], self.last.dtype)

    def acc_pool(self, linear: Linear, dtype: DataType) -> AccPool:
        """The sum of each window."""
        assert linear.window is not None
        node = AccPool(self.name("acc_pool"), linear.window.taps, origin=(linear.node,))
        self.append(node, linear.after, dtype)
        return node


def _added(a: Border, b: Border) -> Border:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]


def _grown(shape: tuple[int, ...], border: Border) -> tuple[int, int]:
    return shape[0] + border[0] + border[2], shape[1] + border[1] + border[3]


def _fits(padding: Border, window: Window) -> bool:
    """True when an SWG can pad by that: less than a window spans."""
    return max(padding[0], padding[2]) < window.extent[0] and max(padding[1], padding[3]) < window.extent[1]


def _padded(dtype: DataType, value: int, padding: Border) -> DataType:
    return datatype("TERNARY") if any(padding) and dtype.name == "BIPOLAR" and value == 0 else dtype
