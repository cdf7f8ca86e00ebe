"""A graph that grows at its end: one unit behind another, on unfolded streams."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from arbonn.flows.lowering.linear import Linear
from arbonn.flows.lowering.window import Window
from arbonn.hw.datatypes import DataType, Integers, datatype
from arbonn.hw.graph import Endpoint, Node, Stream
from arbonn.hw.units.acc_pool import AccPool
from arbonn.hw.units.fm_padding import FMPadding
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.max_pool import MaxPool
from arbonn.hw.units.swg import SWG

Border = tuple[int, int, int, int]


class Chain:
    """Nodes and streams; `last` is the stream at the end."""

    def __init__(self, first: Stream) -> None:
        self.nodes: list[Node] = []
        self.streams = [first]
        self.numbers: Counter[str] = Counter()

    @property
    def last(self) -> Stream:
        return self.streams[-1]

    def name(self, kind: str) -> str:
        """The next id of a kind of unit."""
        self.numbers[kind] += 1
        return f"{kind}_{self.numbers[kind] - 1}"

    def append(self, node: Node, shape: tuple[int, ...], dtype: DataType) -> None:
        """A unit with ports i and o behind the end; a line buffer gets all the room that it can use, which folding cuts down."""
        if isinstance(node, SWG):
            node = node.sized(node.sizes({"i": self.last})[-1])
        self.streams[-1] = replace(self.last, sink=Endpoint(node.id, "i"))
        self.nodes.append(node)
        self.streams.append(Stream(f"{node.id}_o", shape, dtype, 1, source=Endpoint(node.id, "o")))

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
