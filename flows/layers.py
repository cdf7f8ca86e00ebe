"""Builds the first dataflow graph of a network: an MVAU for each linear operator, a Lookup for each region that was evaluated.

Lowering by evaluation: accumulators are integers of a known range, so the float function behind a linear operator is evaluated at
every one of them. `Layer` keeps what those integers mean, for the comparison with the file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from arbonn.errors import LoweringError
from arbonn.flows.grid import Grid, affine, on_grid
from arbonn.flows.logits import WIDEST, Logits, integer_logits, keeps_order
from arbonn.flows.segments import Linear, Region, Segments
from arbonn.flows.wide import evaluate_steps, thresholds_of
from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import DataType, Integers, smallest
from arbonn.hw.graph import DataflowGraph, Endpoint, Node, Stream
from arbonn.hw.units.label_select import LabelSelect
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.mvau import MVAU

MOST_TABLE = 1 << 22  # levels times channels of a table of activations, 32 MiB; beyond, only its steps are kept (`wide`)
MOST_VALUES = 1 << 25  # the same for what has to be a table: the input's codes, logits
WEIGHT_BITS = 8


@dataclass(frozen=True, eq=False)
class Point:
    """An integer point: the file's `tensor` equals base + step * n, but for `deviation`, where n are the integers on a stream."""

    tensor: str
    step: float
    base: float
    deviation: float

    def integers(self, values: NDArray[np.float32]) -> Integers:
        """The integers of the file's values."""
        return np.rint((values.astype(np.float64) - self.base) / self.step).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Layer:
    """One linear operator and the region behind it, in integers: y = scale * (step * (weights @ n) + base * sum(weights)) + bias."""

    mvau: str
    linear: Linear
    weights: Integers
    scale: NDArray[np.float64]
    source: Point
    region: Region

    def exact(self, dot: Integers) -> NDArray[np.float64]:
        """The linear operator's real result for integer dot products (..., MH), in float64."""
        point = self.source
        return self.scale * (point.step * dot + point.base * self.weights.sum(axis=1)) + self.linear.bias


@dataclass(frozen=True, eq=False)
class Built:
    """A first graph; `front` is the region before the first layer, `points[k]` the integers that layer k takes."""

    graph: DataflowGraph
    front: Region
    layers: tuple[Layer, ...]
    points: tuple[Point, ...]
    logit_scale: str
    notes: tuple[str, ...]


@dataclass
class _Chain:
    """Nodes and streams as they are appended to the end of a chain."""

    nodes: list[Node] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)

    def append(self, node: Node, shape: tuple[int, ...], dtype: DataType) -> None:
        self.streams[-1] = replace(self.streams[-1], sink=Endpoint(node.id, "i"))
        self.nodes.append(node)
        self.streams.append(Stream(f"{node.id}_o", shape, dtype, 1, source=Endpoint(node.id, "o")))

    def lookup(self, grid: Integers, dtype: DataType, low: int, region: Region) -> None:
        """A Lookup of values (levels, channels); one row where all channels agree."""
        table = grid.T[:1] if (grid == grid[:, :1]).all() else grid.T
        number = sum(isinstance(n, Lookup) for n in self.nodes)
        origin = tuple(n.name for n in region.nodes)
        self.append(Lookup(f"lookup_{number}", np.ascontiguousarray(table), low, origin=origin), self.streams[-1].shape, dtype)


def build(segments: Segments, contract: InputContract, outputs: str, widest: int = WIDEST) -> Built:
    """The graph of a network's segments; `outputs` is `both`, `logits` or `label`. Raises LoweringError where values are on no grid."""
    front = segments.regions[0]
    channels = front.network.elements(front.start)
    chain = _Chain(streams=[Stream("x", (channels,), contract.dtype, 1)])
    points, layers = [_front(chain, front, contract, segments.linears[0])], []
    scale, notes = "", list[str]()
    for k, (linear, region) in enumerate(zip(segments.linears, segments.regions[1:], strict=True)):
        weights, alpha = integer_weights(linear)
        layer = Layer(f"mvau_{k}", linear, weights, alpha, points[-1], region)
        layers.append(layer)
        if k + 1 < len(segments.linears):
            _mvau(chain, layer, bipolar(weights))
            grid = _activation(chain, layer, segments.linears[k + 1].node)
            points.append(Point(region.end, grid.step, grid.base, grid.deviation))
        else:
            scale, note = _logits(chain, layer, widest)
            notes += note
    if segments.tail is not None:
        axis = "the greatest logit's class is `label`" if segments.tail.op_type == "ArgMax" else "it keeps the order of the logits"
        notes.append(f"{segments.tail.name} ({segments.tail.op_type}) is left to the host: {axis}")
    _ends(chain, outputs, (segments.tail.name,) if segments.tail is not None else ())
    return Built(
        DataflowGraph(tuple(chain.nodes), tuple(chain.streams), contract), front, tuple(layers), tuple(points), scale, tuple(notes)
    )


def _front(chain: _Chain, front: Region, contract: InputContract, first: Linear) -> Point:
    """The first integer point: the codes themselves where their values are affine in them, else what a Lookup makes of them."""
    codes, channels = contract.codes(), chain.streams[0].shape[0]
    _refuse_large(len(codes), channels, first.node)
    values = front.evaluate(np.broadcast_to(contract.values(codes)[:, None], (len(codes), channels)))
    straight = affine(values, codes)
    if straight is not None:
        return Point(front.end, *straight)
    grid = _grid(values, first.node)
    low = int(codes[0])
    integers = grid.integers if contract.dtype.name != "BIPOLAR" else grid.integers[[0, 0, 1]]  # 0 is no code: never looked up
    chain.lookup(integers, grid.dtype, low, front)
    return Point(front.end, grid.step, grid.base, grid.deviation)


def integer_weights(linear: Linear) -> tuple[Integers, NDArray[np.float64]]:
    """Integers and a scale for each row with weights = scale * integers. Raises LoweringError for rows on no grid of few bits."""
    weights, scale = np.zeros(linear.weights.shape, np.int64), np.zeros(len(linear.weights))
    for row, values in enumerate(linear.weights):
        magnitudes = np.abs(values)
        if magnitudes.max() - magnitudes.min() <= 2.0**-22 * magnitudes.max() and magnitudes.max() > 0:
            weights[row], scale[row] = np.where(values > 0, 1, -1), magnitudes.mean()
            continue
        grid = on_grid(values, based=False)
        if grid is None or smallest(int(grid.integers.min()), int(grid.integers.max())).bits > WEIGHT_BITS:
            raise LoweringError(
                linear.node,
                found=f"row {row} has {len(np.unique(values))} weights that are no small integers times one scale",
                allowed=f"one magnitude a row (bipolar), or integers of at most {WEIGHT_BITS} bits times one scale a row",
                fix="train with quantized weights",
            )
        weights[row], scale[row] = grid.integers, grid.step
    if (np.abs(weights[scale != 0]) == 1).all():
        weights[(weights == 0).all(axis=1)] = 1  # a row of zeros beside bipolar ones: any sign, its scale is zero
        scale[(linear.weights == 0).all(axis=1)] = 0.0
    return weights, scale


def bipolar(weights: Integers) -> str:
    """The accumulator's domain that weights allow: popcount for bipolar ones."""
    return "popcount" if (np.abs(weights) == 1).all() else "dot"


def _mvau(chain: _Chain, layer: Layer, domain: str) -> MVAU:
    kind = "BIPOLAR" if (np.abs(layer.weights) == 1).all() else ""
    low, high = int(layer.weights.min()), int(layer.weights.max())
    dtype = Grid(np.array([-1, 1]), 1.0, 0.0, 0.0).dtype if kind else smallest(low, high)
    node = MVAU(layer.mvau, layer.weights, dtype, domain, origin=(layer.linear.node,))
    source = chain.streams[-1].dtype
    least, most = node.accumulator_range(source.low, source.high, source)
    chain.append(node, (node.rows,), smallest(int(least.min()), int(most.max())))
    return node


def _activation(chain: _Chain, layer: Layer, after: str) -> Grid:
    """The region behind the MVAU at the chain's end, as a Lookup; as thresholds in the MVAU where a table would be too large."""
    node, source = chain.nodes[-1], chain.streams[-2].dtype
    assert isinstance(node, MVAU)
    levels, start = _levels(node, layer, source)
    if len(levels) * node.rows <= MOST_TABLE:
        grid = _grid(layer.region.evaluate(start(levels)), after)
        chain.lookup(grid.integers, grid.dtype, int(levels[0]), layer.region)
        return grid
    steps = evaluate_steps(layer.region, start, int(levels[0]), int(levels[-1]), layer.linear.node)
    totals = ((1 << source.bits) - 1) * node.columns if node.domain == "popcount" else 0
    found = thresholds_of(steps, totals, layer.linear.node)
    if found is None:
        raise _no_grid(len(np.unique(steps.values)), after)
    weights = np.where(found.falls[:, None], -node.weights, node.weights)
    origin = (*node.origin, *(n.name for n in layer.region.nodes))
    kind = node.weight_dtype if node.domain == "popcount" else smallest(int(weights.min()), int(weights.max()))
    chain.nodes[-1] = replace(node, weights=weights, weight_dtype=kind, thresholds=found.thresholds, offset=found.offset, origin=origin)
    dtype = found.grid.dtype
    if dtype.name != "BIPOLAR":  # a constant row of all ones still needs room for its one threshold
        dtype = smallest(found.offset, found.offset + found.thresholds.shape[1])
    chain.streams[-1] = replace(chain.streams[-1], dtype=dtype)
    return found.grid


def _levels(node: MVAU, layer: Layer, source: DataType) -> tuple[Integers, Callable[[Integers], NDArray[np.float32]]]:
    """Every accumulator of an MVAU, and the floats (levels, MH) that accumulators stand for; what a row never reaches is held."""
    low, high = node.accumulator_range(source.low, source.high, source)

    def start(levels: Integers) -> NDArray[np.float32]:
        return layer.exact(node.to_dot(levels[:, None].clip(low, high), source)).astype(np.float32)

    return np.arange(low.min(), high.max() + 1), start


def _refuse_large(levels: int, channels: int, where: str) -> None:
    if levels * channels > MOST_VALUES:
        raise LoweringError(
            where,
            found=f"{levels} integers in {channels} channels to evaluate",
            allowed=f"{MOST_VALUES} values",
            fix="quantize the layer's input to fewer bits",
        )


def _grid(values: NDArray[np.float32], where: str) -> Grid:
    grid = on_grid(values)
    if grid is None:
        raise _no_grid(len(np.unique(values)), where)
    return grid


def _no_grid(values: int, where: str) -> LoweringError:
    return LoweringError(
        where,
        found=f"an input that takes {values} values on no common grid",
        allowed="a quantized input: integers times one scale for all channels",
        fix="put a quantizer with one scale in front of it",
    )


def _logits(chain: _Chain, layer: Layer, widest: int) -> tuple[str, list[str]]:
    """The last layer: its accumulators where they order the classes as the float logits do, else a table of fixed-point numbers."""
    domain = bipolar(layer.weights)
    if chain.streams[-1].dtype.name != "BIPOLAR":
        domain = "dot"  # popcounts of few-bit inputs differ between rows by a constant: they do not compare
    node = _mvau(chain, layer, domain)
    source = chain.streams[-2].dtype
    levels, start = _levels(node, layer, source)
    _refuse_large(len(levels), node.rows, layer.linear.node)
    values = layer.region.evaluate(start(levels))
    low, high = node.accumulator_range(source.low, source.high, source)
    reachable = (levels[:, None] >= low) & (levels[:, None] <= high)
    if keeps_order(values, np.broadcast_to(levels[:, None], values.shape), reachable):
        return "accumulator", []
    logits: Logits = integer_logits(values, reachable, layer.linear.node, widest)
    chain.lookup(logits.integers, smallest(int(logits.integers.min()), int(logits.integers.max())), int(levels[0]), layer.region)
    if logits.fraction is None:
        return "rank", [
            f"{layer.linear.node}: logits are ranks of the float ones"
            + (f": {widest} bits of fixed point do not keep the order" if widest else "")
        ]
    return f"2^{-logits.fraction}", []


def _ends(chain: _Chain, outputs: str, origin: tuple[str, ...]) -> None:
    """Names the outputs: `logits`, `label` or both."""
    last = chain.streams[-1]
    if outputs == "logits":
        chain.streams[-1] = replace(last, id="logits")
        return
    select = LabelSelect("label_select_0", logits=outputs == "both", origin=origin)
    chain.streams[-1] = replace(last, sink=Endpoint(select.id, "i"))
    chain.nodes.append(select)
    chain.streams.append(Stream("label", (1,), smallest(0, last.shape[0] - 1), 1, source=Endpoint(select.id, "label")))
    if outputs == "both":
        chain.streams.append(Stream("logits", last.shape, last.dtype, 1, source=Endpoint(select.id, "logits")))
