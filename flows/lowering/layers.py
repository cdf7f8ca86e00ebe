"""Builds the first dataflow graph of a network: a unit for each linear operator, a Lookup for each region that was evaluated.

Lowering by evaluation: accumulators are integers of a known range, so the float function behind a linear operator is evaluated at
every one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from arbonn.errors import LoweringError
from arbonn.flows.lowering.activation import append_lookup, append_poolings, edge_values, no_grid, poolings, quantize, straight
from arbonn.flows.lowering.chain import Chain
from arbonn.flows.lowering.linear import Linear
from arbonn.flows.lowering.logits import WIDEST, integer_logits, keeps_order
from arbonn.flows.lowering.points import Layer, Point
from arbonn.flows.lowering.region import Region
from arbonn.flows.lowering.segments import Segments
from arbonn.flows.lowering.weights import bipolar, integer_weights, matrix_of
from arbonn.flows.lowering.wide import evaluate_steps, thresholds_of
from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import Integers, datatype, smallest
from arbonn.hw.graph import DataflowGraph, Endpoint, Stream
from arbonn.hw.units.acc_pool import AccPool
from arbonn.hw.units.label_select import LabelSelect
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.vvau import VVAU

MOST_TABLE = 1 << 22  # levels times channels of a table of activations, 32 MiB; beyond, only its steps are kept (`wide`)
MOST_VALUES = 1 << 25  # the same for what has to be a table: the input's codes, logits, what is pooled


@dataclass(frozen=True, eq=False)
class Built:
    """A first graph; `front` is the region before the first layer, `points[k]` the integers that layer k takes."""

    graph: DataflowGraph
    front: Region
    layers: tuple[Layer, ...]
    points: tuple[Point, ...]
    logit_scale: str
    notes: tuple[str, ...]


def build(segments: Segments, contract: InputContract, outputs: str, widest: int = WIDEST) -> Built:
    """The graph of a network's segments; `outputs` is `both`, `logits` or `label`. Raises LoweringError where values are on no grid."""
    front = segments.regions[0]
    chain = Chain(Stream("x", front.shape, contract.dtype, 1))
    points, layers = [_front(chain, front, contract, segments.linears[0])], list[Layer]()
    scale, notes = "", list[str]()
    for linear, region, after in zip(segments.linears, segments.regions[1:], [*segments.linears[1:], None], strict=True):
        layer = _layer(chain, linear, points[-1], region, last=after is None)
        layers.append(layer)
        if after is not None:
            points.append(_activation(chain, layer, after))
        else:
            scale, notes = _logits(chain, layer, widest)
    if segments.tail is not None:
        axis = "the greatest logit's class is `label`" if segments.tail.op_type == "ArgMax" else "it keeps the order of the logits"
        notes.append(f"{segments.tail.name} ({segments.tail.op_type}) is left to the host: {axis}")
    chain.vector()
    _ends(chain, outputs, (segments.tail.name,) if segments.tail is not None else ())
    return Built(
        DataflowGraph(tuple(chain.nodes), tuple(chain.streams), contract), front, tuple(layers), tuple(points), scale, tuple(notes)
    )


def _front(chain: Chain, front: Region, contract: InputContract, first: Linear) -> Point:
    """The first integer point: the codes themselves where their values are affine in them, else what a Lookup makes of them."""
    codes, channels = contract.codes(), chain.last.shape[-1]
    _refuse_large(len(codes), channels, first.node)
    start = np.broadcast_to(contract.values(codes)[:, None], (len(codes), channels))
    found = straight(front, codes, start, contract.dtype, first)
    if found is None:
        found = quantize(front, start, first.node, first.pads)
        low = int(codes[0])
        integers = found.integers if contract.dtype.name != "BIPOLAR" else found.integers[[0, 0, 1]]  # 0 is no code: never looked up
        append_lookup(chain, front, replace(found, integers=integers), low)
    edge = append_poolings(chain, front, found)
    return Point(front.end, found.step, found.base, found.deviation, front.orders[front.end], edge)


def _layer(chain: Chain, linear: Linear, source: Point, region: Region, last: bool) -> Layer:
    """The units of a linear operator, up to the one that accumulates."""
    before = len(chain.nodes)
    chain.linear_windows(linear, source.zero, source.edge)
    if linear.sums:
        weights, alpha = np.ones(linear.weights.shape, np.int64), linear.weights[:, 0]
        assert linear.window is not None
        dtype = chain.last.dtype
        chain.acc_pool(linear, smallest(linear.window.taps * dtype.low, linear.window.taps * dtype.high))
    else:
        weights, alpha = integer_weights(linear)
        # Popcounts of few-bit inputs differ between rows by a constant: as logits they do not compare.
        domain = "dot" if last and chain.last.dtype.name != "BIPOLAR" else bipolar(weights)
        _weighted(chain, linear, weights, domain)
    return Layer(chain.nodes[-1].id, chain.nodes[before].id, linear, weights, alpha, source, region)


def _weighted(chain: Chain, linear: Linear, weights: Integers, domain: str) -> None:
    """An MVAU, or a VVAU for a depth-wise operator."""
    kind = datatype("BIPOLAR") if (np.abs(weights) == 1).all() else smallest(int(weights.min()), int(weights.max()))
    node = (VVAU if linear.depthwise else MVAU)(
        chain.name("vvau" if linear.depthwise else "mvau"), weights, kind, domain, origin=(linear.node,)
    )
    source = chain.last.dtype
    least, most = matrix_of(node).accumulator_range(source.low, source.high, source)
    chain.append(node, linear.after, smallest(int(least.min()), int(most.max())))


@dataclass(frozen=True, eq=False)
class _Levels:
    """Every accumulator of a layer's unit, `levels`; a row reaches low .. high of them; `start`: the floats (levels, MH) they stand for."""

    levels: Integers
    low: Integers
    high: Integers
    start: Callable[[Integers], NDArray[np.float32]]


def _levels(chain: Chain, layer: Layer) -> _Levels:
    """Of the layer's unit at the chain's end. Where a row never reaches a level its nearest one is held."""
    node, source = chain.nodes[-1], chain.streams[-2].dtype
    if isinstance(node, AccPool):
        taps, rows = node.taps, len(layer.weights)
        low, high = np.full(rows, taps * source.low), np.full(rows, taps * source.high)

        def dot(acc: Integers) -> Integers:
            return acc
    else:
        assert isinstance(node, MVAU | VVAU)
        matrix = matrix_of(node)
        low, high = matrix.accumulator_range(source.low, source.high, source)

        def dot(acc: Integers) -> Integers:
            return matrix.to_dot(acc, source)

    def start(levels: Integers) -> NDArray[np.float32]:
        return layer.exact(dot(levels[:, None].clip(low, high))).astype(np.float32)

    return _Levels(np.arange(low.min(), high.max() + 1), low, high, start)


def _activation(chain: Chain, layer: Layer, after: Linear) -> Point:
    """The region behind the unit at the chain's end, as a Lookup; as thresholds in the unit where a table would be too large."""
    region, every = layer.region, _levels(chain, layer)
    size, pooled = len(every.levels) * len(layer.weights), bool(poolings(region))
    table = pooled or isinstance(chain.nodes[-1], AccPool)
    if table:
        _refuse_large(len(every.levels), len(layer.weights), layer.linear.node)
    if table or size <= MOST_TABLE:
        start = every.start(every.levels)
        alike = (every.low == every.low[0]).all() and (every.high == every.high[0]).all()
        found = straight(region, every.levels, start, chain.last.dtype, after) if alike else None
        if found is None:
            found = quantize(region, start, after.node, after.pads)
            append_lookup(chain, region, found, int(every.levels[0]))
        edge = append_poolings(chain, region, found)
        return Point(region.end, found.step, found.base, found.deviation, region.orders[region.end], edge)
    return _thresholds(chain, layer, every, after)


def _thresholds(chain: Chain, layer: Layer, every: _Levels, after: Linear) -> Point:
    """The region as thresholds in the layer's own unit."""
    region, node, source = layer.region, chain.nodes[-1], chain.streams[-2].dtype
    where = layer.linear.node
    assert isinstance(node, MVAU | VVAU)
    steps = evaluate_steps(region, every.start, int(every.levels[0]), int(every.levels[-1]), where)
    totals = ((1 << source.bits) - 1) * matrix_of(node).columns if node.domain == "popcount" else 0
    edges = edge_values(region, len(layer.weights), after.node)
    found = thresholds_of(steps, totals, where, [*edges, *([0.0] if after.pads else [])])
    if found is None:
        raise no_grid(len(np.unique(steps.values)), after.node, bool(edges) or after.pads)
    weights = np.where(found.falls[:, None], -node.weights, node.weights)
    origin = (*node.origin, *(n.name for n in region.nodes))
    kind = node.weight_dtype if node.domain == "popcount" else smallest(int(weights.min()), int(weights.max()))
    chain.nodes[-1] = replace(node, weights=weights, weight_dtype=kind, thresholds=found.thresholds, offset=found.offset, origin=origin)
    dtype, borders = found.grid.dtype, found.extra[: len(edges)]
    if len(set(borders)) > 1 or (dtype.name == "BIPOLAR" and any(abs(n) > 1 for n in found.extra)):
        raise no_grid(len(np.unique(steps.values)), after.node, padded=True)
    if dtype.name != "BIPOLAR":  # a constant row of all ones still needs room for its one threshold
        dtype = smallest(min((found.offset, *found.extra)), max((found.offset + found.thresholds.shape[1], *found.extra)))
    chain.streams[-1] = replace(chain.last, dtype=dtype)
    grid = found.grid
    return Point(region.end, grid.step, grid.base, grid.deviation, region.orders[region.end], borders[0] if borders else 0)


def _refuse_large(levels: int, channels: int, where: str) -> None:
    if levels * channels > MOST_VALUES:
        raise LoweringError(
            where,
            found=f"{levels} integers in {channels} channels to evaluate",
            allowed=f"{MOST_VALUES} values",
            fix="quantize the layer's input to fewer bits",
        )


def _logits(chain: Chain, layer: Layer, widest: int) -> tuple[str, list[str]]:
    """The last layer: its accumulators where they order the classes as the float logits do, else a table of fixed-point numbers."""
    region, every = layer.region, _levels(chain, layer)
    pooled = poolings(region)
    if pooled:
        raise LoweringError(pooled[0].node, found="a maximum of logits", allowed="poolings between layers; averages anywhere")
    _refuse_large(len(every.levels), len(layer.weights), layer.linear.node)
    values = region.evaluate(every.start(every.levels))
    reachable = (every.levels[:, None] >= every.low) & (every.levels[:, None] <= every.high)
    if keeps_order(values, np.broadcast_to(every.levels[:, None], values.shape), reachable):
        return "accumulator", []
    logits = integer_logits(values, reachable, layer.linear.node, widest)
    low, high = int(logits.integers.min()), int(logits.integers.max())
    chain.lookup(logits.integers, smallest(low, high), int(every.levels[0]), tuple(n.name for n in region.nodes))
    if logits.fraction is None:
        return "rank", [
            f"{layer.linear.node}: logits are ranks of the float ones"
            + (f": {widest} bits of fixed point do not keep the order" if widest else "")
        ]
    return f"2^{-logits.fraction}", []


def _ends(chain: Chain, outputs: str, origin: tuple[str, ...]) -> None:
    """Names the outputs: `logits`, `label` or both."""
    last = chain.last
    if outputs == "logits":
        chain.streams[-1] = replace(last, id="logits")
        return
    select = LabelSelect("label_select_0", logits=outputs == "both", origin=origin)
    chain.streams[-1] = replace(last, sink=Endpoint(select.id, "i"))
    chain.nodes.append(select)
    kind = smallest(0, last.shape[0] - 1)
    chain.streams.append(Stream("label", (1,), kind, 1, source=Endpoint(select.id, "label")))
    if outputs == "both":
        chain.streams.append(Stream("logits", last.shape, last.dtype, 1, source=Endpoint(select.id, "logits")))
