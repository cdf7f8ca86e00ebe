"""Shared hypothesis strategies: types, units with their streams, whole chains, stalls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import DataType, Integers, datatype, smallest
from arbonn.hw.graph import DataflowGraph, Endpoint, Node, Stream
from arbonn.hw.popcount import LUT_INPUTS
from arbonn.hw.units.dwc import DWC
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.label_select import LabelSelect
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.mvau import DEPTHS, MVAU
from arbonn.hw.units.thresholding import Thresholding

Draw = Callable[..., object]
seeds = st.integers(0, 2**32 - 1)
types = st.sampled_from(["BIPOLAR", "BINARY", "TERNARY", "UINT2", "UINT5", "INT2", "INT4", "UINT8", "INT8"]).map(datatype)


def draw_divisor(draw: st.DrawFn, n: int) -> int:
    return draw(st.sampled_from([d for d in range(1, n + 1) if n % d == 0]))


def values(random: np.random.Generator, dtype: DataType, shape: tuple[int, ...]) -> Integers:
    """Uniform over the type's values, with the extremes made likely."""
    every = dtype.every()
    picked = random.choice(every, shape)
    return np.where(random.random(shape) < 0.2, random.choice(every[[0, -1]], shape), picked)


def output_of_levels(draw: st.DrawFn) -> tuple[DataType, int, int]:
    """(type, number of thresholds, offset) of a thresholded output."""
    dtype = draw(st.sampled_from(["BIPOLAR", "BINARY", "UINT2", "INT2", "UINT3"]).map(datatype))
    if dtype.name == "BIPOLAR":
        return dtype, 1, 0
    count = draw(st.integers(1, dtype.high - dtype.low))
    return dtype, count, draw(st.integers(dtype.low, dtype.high - count))


@st.composite
def chains(draw: st.DrawFn, longest: int = 4, first: str | None = None) -> DataflowGraph:
    """A legal chain of units with random shapes, types, folds and parameters; input `x`."""
    random = np.random.default_rng(draw(seeds))
    channels = draw(st.integers(1, 12))
    dtype = draw(types)
    streams = [Stream("x", (channels,), dtype, draw_divisor(draw, channels))]
    nodes: list[Node] = []
    kinds = ["MVAU", "Thresholding", "Lookup", "DWC", "FIFO"]
    for number in range(draw(st.integers(1, longest))):
        kind = first if number == 0 and first else draw(st.sampled_from(kinds))
        node, made = _unit(draw, random, kind, f"unit_{number}", streams[-1])
        if node is None:
            continue
        nodes.append(node)
        streams[-1] = _ended(streams[-1], Endpoint(node.id, "i"))
        streams.append(made)
    if first == "LabelSelect" or not nodes or (first is None and draw(st.booleans())):
        last = streams[-1]
        logits = draw(st.booleans())
        nodes.append(LabelSelect("select", logits))
        streams[-1] = _ended(last, Endpoint("select", "i"))
        streams.append(Stream("label", (1,), smallest(0, last.shape[-1] - 1), 1, Endpoint("select", "label")))
        streams += [Stream("logits", last.shape, last.dtype, last.lanes, Endpoint("select", "logits"))] if logits else []
    return DataflowGraph(tuple(nodes), tuple(streams), InputContract(dtype)).verify()


def _ended(stream: Stream, sink: Endpoint) -> Stream:
    return Stream(stream.id, stream.shape, stream.dtype, stream.lanes, stream.source, sink)


def _unit(draw: st.DrawFn, random: np.random.Generator, kind: str, name: str, i: Stream) -> tuple[Node | None, Stream]:
    """A unit behind stream `i` and the stream it gives."""

    def out(channels: int, dtype: DataType, lanes: int) -> Stream:
        return Stream(f"{name}_o", (channels,), dtype, lanes, Endpoint(name, "o"))

    channels = i.shape[-1]
    if kind == "MVAU":
        rows = draw(st.integers(1, 8))
        popcount = draw(st.booleans())
        weight_dtype = datatype("BIPOLAR" if popcount else draw(st.sampled_from(["BIPOLAR", "BINARY", "TERNARY", "INT3"])))
        weights, depth = values(random, weight_dtype, (rows, channels)), draw(st.sampled_from(DEPTHS))
        node = MVAU(name, weights, weight_dtype, "popcount" if popcount else "dot", depth=depth)
        low, high = node.accumulator_range(i.dtype.low, i.dtype.high, i.dtype)
        if draw(st.booleans()):
            return node, out(rows, smallest(int(low.min()), int(high.max())), draw_divisor(draw, rows))
        dtype, count, offset = output_of_levels(draw)
        thresholds = np.sort(random.integers(low.min() - 2, high.max() + 3, (rows, count)), axis=1)
        made = replace(node, thresholds=thresholds, offset=offset, lut_inputs=draw(st.sampled_from(LUT_INPUTS)))
        return made, out(rows, dtype, draw_divisor(draw, rows))
    if kind == "Thresholding":
        dtype, count, offset = output_of_levels(draw)
        thresholds = np.sort(random.integers(i.dtype.low - 2, i.dtype.high + 3, (channels, count)), axis=1)
        return Thresholding(name, thresholds, offset), out(channels, dtype, i.lanes)
    if kind == "Lookup" and i.dtype.bits <= 8:
        dtype = draw(types)
        size = i.dtype.high - i.dtype.low + 1
        return Lookup(name, values(random, dtype, (draw(st.sampled_from([1, channels])), size)), i.dtype.low), out(channels, dtype, i.lanes)
    if kind == "DWC":
        options = [d for d in range(1, channels + 1) if channels % d == 0 and d != i.lanes and max(d, i.lanes) % min(d, i.lanes) == 0]
        if options:
            return DWC(name), out(channels, i.dtype, draw(st.sampled_from(options)))
    if kind == "FIFO":
        return FIFO(name, draw(st.sampled_from([1, 2, 3, 5, 16]))), out(channels, i.dtype, i.lanes)
    return None, i
