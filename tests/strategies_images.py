"""Strategies for units with images, several inputs or several outputs: one unit with a stream on every port, and joined graphs of them."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from hypothesis import strategies as st

from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import DataType, datatype, smallest
from arbonn.hw.graph import DataflowGraph, Endpoint, Node, Stream
from arbonn.hw.units.acc_pool import AccPool
from arbonn.hw.units.add_streams import AddStreams
from arbonn.hw.units.concat import Concat
from arbonn.hw.units.duplicate_streams import DuplicateStreams
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.fm_padding import FMPadding
from arbonn.hw.units.max_pool import MaxPool
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.shuffle import Shuffle
from arbonn.hw.units.sparse_mvau import SparseMVAU
from arbonn.hw.units.split import Split
from arbonn.hw.units.swg import SWG
from arbonn.hw.units.unrolled_mvau import UnrolledMVAU
from arbonn.hw.units.vvau import VVAU
from tests.graph_builder import GraphBuilder, Port
from tests.strategies import draw_divisor, output_of_levels, seeds, types, values


def alone(node: Node, streams: dict[str, Port]) -> DataflowGraph:
    """A graph of one unit, with an input or output for each of its ports."""
    made = []
    for port, (shape, dtype, lanes) in streams.items():
        end = Endpoint(node.id, port)
        made.append(Stream(port, shape, dtype, lanes, end if port in node.gives else None, end if port in node.takes else None))
    return DataflowGraph((node,), tuple(made), InputContract(next(s.dtype for s in made if s.sink))).verify()


@st.composite
def pixels(draw: st.DrawFn, most: int = 3) -> tuple[int, ...]:
    """Axes before the channels: none, one or two."""
    return tuple(draw(st.lists(st.integers(1, most), max_size=2)))


def draw_padding_value(draw: st.DrawFn, dtype: DataType) -> tuple[DataType, int]:
    """(type of the padded stream, value of the padding)."""
    padded = datatype("TERNARY") if dtype.name == "BIPOLAR" and draw(st.booleans()) else dtype
    return padded, int(draw(st.sampled_from([int(v) for v in padded.every()])))


@st.composite
def swgs(draw: st.DrawFn) -> DataflowGraph:
    """Any kernel, stride, dilation and padding over a small image that a window fits."""
    kernel, stride = (draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) for _ in range(2))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    high, wide = (d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    top, bottom, left, right = (draw(st.integers(0, extent - 1)) for extent in (high, high, wide, wide))
    height, width = draw(st.integers(max(1, high - top - bottom), 5)), draw(st.integers(max(1, wide - left - right), 5))
    channels = draw(st.integers(1, 4))
    group = draw_divisor(draw, channels)
    dtype = draw(types)
    padded, value = draw_padding_value(draw, dtype)
    image = ((height, width, channels), dtype, draw_divisor(draw, group))
    node = SWG("u", kernel, 1, stride, dilation, (top, left, bottom, right), value, group)
    i = Stream("i", *image)
    sizes = node.sizes({"i": i})
    node = node.sized(draw(st.one_of(st.just(sizes[0]), st.sampled_from(sizes))))
    return alone(node, {"i": image, "o": ((*node.windows({"i": i}), prod(kernel) * channels), padded, image[2])})


@st.composite
def windowed(draw: st.DrawFn, kind: str) -> DataflowGraph:
    """MaxPool, AccPool or VVAU over windows, or over a whole image."""
    taps, channels = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    group = draw_divisor(draw, channels)
    lanes, dtype = draw_divisor(draw, group), draw(st.one_of(types, st.just(datatype("INT1"))))
    before = draw(pixels(2))
    shapes = ((*before, taps * channels), (*before, channels))
    if draw(st.booleans()):
        shapes = ((taps, 1, channels), (channels,))
    if kind == "MaxPool":
        return alone(MaxPool("u", taps, group), {"i": (shapes[0], dtype, lanes), "o": (shapes[1], dtype, lanes)})
    if kind == "AccPool":
        total = smallest(taps * dtype.low, taps * dtype.high)
        return alone(AccPool("u", taps, group), {"i": (shapes[0], dtype, lanes), "o": (shapes[1], total, lanes)})
    random = np.random.default_rng(draw(seeds))
    popcount = draw(st.booleans())
    weight_dtype = datatype("BIPOLAR" if popcount else draw(st.sampled_from(["BIPOLAR", "BINARY", "TERNARY", "INT3"])))
    node = VVAU("u", values(random, weight_dtype, (channels, taps)), weight_dtype, "popcount" if popcount else "dot", group=group)
    low, high = node.rows.accumulator_range(dtype.low, dtype.high, dtype)
    result = smallest(int(low.min()), int(high.max()))
    if draw(st.booleans()):
        result, count, offset = output_of_levels(draw)
        thresholds = np.sort(random.integers(low.min() - 2, high.max() + 3, (channels, count)), axis=1)
        node = replace(node, thresholds=thresholds, offset=offset)
    return alone(node, {"i": (shapes[0], dtype, lanes), "o": (shapes[1], result, lanes)})


@st.composite
def joins(draw: st.DrawFn, kind: str) -> DataflowGraph:
    """AddStreams, DuplicateStreams, Concat or Split of two or three streams."""
    before, dtype, count = draw(pixels()), draw(types), draw(st.integers(2, 3))
    lanes = draw(st.integers(1, 3))
    if kind in ("AddStreams", "DuplicateStreams"):
        one = ((*before, lanes * draw(st.integers(1, 3))), dtype, lanes)
        if kind == "DuplicateStreams":
            return alone(DuplicateStreams("u", count), {"i": one} | {f"o{k}": one for k in range(count)})
        total = smallest(count * dtype.low, count * dtype.high)
        return alone(AddStreams("u", count), {f"i{k}": one for k in range(count)} | {"o": (one[0], total, lanes)})
    channels = [lanes * draw(st.integers(1, 3)) for _ in range(count)]
    whole, parts = ((*before, sum(channels)), dtype, lanes), [((*before, c), dtype, lanes) for c in channels]
    if kind == "Split":
        return alone(Split("u", count), {"i": whole} | {f"o{k}": part for k, part in enumerate(parts)})
    return alone(Concat("u", count), {f"i{k}": part for k, part in enumerate(parts)} | {"o": whole})


@st.composite
def shuffles(draw: st.DrawFn) -> DataflowGraph:
    channels = draw(st.integers(1, 6))
    one = ((*draw(pixels()), channels), draw(types), channels)
    return alone(Shuffle("u", np.array(draw(st.permutations(range(channels))))), {"i": one, "o": one})


@st.composite
def borders(draw: st.DrawFn) -> DataflowGraph:
    top, left, bottom, right = (draw(st.integers(0, 2)) for _ in range(4))
    height, width, channels, dtype = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(types)
    padded, value = draw_padding_value(draw, dtype)
    lanes = draw_divisor(draw, channels)
    node = FMPadding("u", (top, left, bottom, right), value)
    return alone(
        node,
        {"i": ((height, width, channels), dtype, lanes), "o": ((top + height + bottom, left + width + right, channels), padded, lanes)},
    )


UNROLLED = ("BIPOLAR", "BINARY", "TERNARY", "UINT3", "INT2")  # inputs


PAIRS = [((-1, 1), "BIPOLAR"), ((0, 1), "BINARY"), ((0, -1), "TERNARY"), ((-3, 2), "INT3"), ((1, 3), "UINT2"), ((2, 2), "UINT2")]


@st.composite
def sparse(draw: st.DrawFn) -> DataflowGraph:
    """A SparseMVAU: any two values, any share of the rarer one, whole sums or levels."""
    random, dtype = np.random.default_rng(draw(seeds)), draw(types)
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    pair, weight_dtype = draw(
        st.sampled_from(
            [((-1, 1), "BIPOLAR"), ((0, 1), "BINARY"), ((0, -1), "TERNARY"), ((-3, 2), "INT3"), ((1, 3), "UINT2"), ((2, 2), "UINT2")]
        )
    )
    weights = np.where(random.random((rows, columns)) < draw(st.sampled_from([0.0, 0.2, 0.6, 1.0])), pair[1], pair[0])
    popcount = weight_dtype == "BIPOLAR" and draw(st.booleans())
    node = SparseMVAU("u", weights, datatype(weight_dtype), "popcount" if popcount else "dot", parallel=draw(st.integers(1, 4)))
    low, high = node.folded.accumulator_range(dtype.low, dtype.high, dtype)
    out = smallest(int(low.min()), int(high.max()))
    if draw(st.booleans()):
        out, count, offset = output_of_levels(draw)
        node = replace(node, thresholds=np.sort(random.integers(low.min() - 2, high.max() + 3, (rows, count)), axis=1), offset=offset)
    shape = draw(st.sampled_from([(), (2,), (2, 2)]))
    ports = {"i": ((*shape, columns), dtype, draw_divisor(draw, columns)), "o": ((*shape, rows), out, draw_divisor(draw, rows))}
    return alone(node, ports)


@st.composite
def unrolled(draw: st.DrawFn) -> DataflowGraph:
    """An UnrolledMVAU over pixels: any of its types, whole sums or levels."""
    random, before = np.random.default_rng(draw(seeds)), draw(pixels(2))
    rows, columns, dtype = draw(st.integers(1, 6)), draw(st.integers(1, 10)), draw(st.sampled_from(UNROLLED).map(datatype))
    popcount = draw(st.booleans())
    weight_dtype = datatype("BIPOLAR" if popcount else draw(st.sampled_from(["BIPOLAR", "BINARY", "TERNARY", "INT3"])))
    weights, depth = values(random, weight_dtype, (rows, columns)), draw(st.integers(1, 4))
    node = UnrolledMVAU("u", weights, weight_dtype, "popcount" if popcount else "dot", depth=depth, seed=draw(st.integers(0, 3)))
    low, high = node.folded.accumulator_range(dtype.low, dtype.high, dtype)
    result = smallest(int(low.min()), int(high.max()))
    if draw(st.booleans()):
        result, count, offset = output_of_levels(draw)
        thresholds = np.sort(random.integers(low.min() - 2, high.max() + 3, (rows, count)), axis=1)
        node = replace(node, thresholds=thresholds, offset=offset)
    return alone(node, {"i": ((*before, columns), dtype, columns), "o": ((*before, rows), result, rows)})


UNITS: dict[str, st.SearchStrategy[DataflowGraph]] = {
    "UnrolledMVAU": unrolled(),
    "SparseMVAU": sparse(),
    "SWG": swgs(),
    **{kind: windowed(kind) for kind in ("MaxPool", "AccPool", "VVAU")},
    **{kind: joins(kind) for kind in ("AddStreams", "DuplicateStreams", "Concat", "Split")},
    "Shuffle": shuffles(),
    "FMPadding": borders(),
}


@st.composite
def blocks(draw: st.DrawFn) -> DataflowGraph:
    """An image forked to a windowed branch (SWG behind another unit or not, then a layer or pooling) and a direct one, joined and reduced.

    The direct branch's FIFO holds a frame, so nothing deadlocks; all other streams have any FIFO or none.
    """
    random = np.random.default_rng(draw(seeds))
    dtype, channels = draw(types.filter(lambda t: t.bits <= 4)), draw(st.integers(1, 4))
    height, width, lanes = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw_divisor(draw, channels)
    shape = (height, width, channels)
    made = GraphBuilder((shape, dtype, lanes))

    def buffered(stream: str) -> str:
        depth = draw(st.sampled_from([0, 0, 1, 2, 5]))
        return made.chain(FIFO(f"fifo_{stream}", depth), stream, made.port(stream)) if depth else stream

    forked, direct = made.add(DuplicateStreams("fork"), {"i": buffered("x")}, {"o0": made.port("x"), "o1": made.port("x")})
    node = SWG("swg", (3, 3), 1, padding=(1, 1, 1, 1), value=dtype.high)
    node = node.sized(draw(st.sampled_from(node.sizes({"i": made.streams["x"]}))))
    windows = buffered(made.chain(node, buffered(forked), ((height, width, 9 * channels), dtype, lanes)))
    kind = draw(st.sampled_from(["MVAU", "MaxPool", "AccPool", "VVAU"]))
    if kind == "MVAU":
        unit: Node = MVAU("layer", values(random, datatype("TERNARY"), (channels, 9 * channels)), datatype("TERNARY"), "dot")
        low, high = unit.accumulator_range(dtype.low, dtype.high, dtype)
        given = smallest(int(low.min()), int(high.max()))
    elif kind == "VVAU":
        unit = VVAU("layer", values(random, datatype("BIPOLAR"), (channels, 9)), datatype("BIPOLAR"), "dot")
        given = smallest(9 * min(dtype.low, -dtype.high), 9 * max(dtype.high, -dtype.low))
    else:
        unit = MaxPool("layer", 9) if kind == "MaxPool" else AccPool("layer", 9)
        given = dtype if kind == "MaxPool" else smallest(9 * dtype.low, 9 * dtype.high)
    branch = buffered(made.chain(unit, windows, (shape, given, lanes)))
    direct = made.chain(FIFO("frame", 2 * height * width * channels), direct, made.port(direct))
    if given == dtype and draw(st.booleans()):
        (end,) = made.add(Concat("join"), {"i0": branch, "i1": direct}, {"o": ((height, width, 2 * channels), dtype, lanes)})
    else:
        total = smallest(given.low + dtype.low, given.high + dtype.high)
        (end,) = made.add(AddStreams("join"), {"i0": branch, "i1": direct}, {"o": (shape, total, lanes)})
    end = buffered(end)
    whole, joined, _ = made.port(end)
    if draw(st.booleans()):
        taps = height * width
        made.chain(AccPool("mean", taps), end, (whole[-1:], smallest(taps * joined.low, taps * joined.high), lanes))
    return made.graph()
