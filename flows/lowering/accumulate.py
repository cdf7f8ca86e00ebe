"""Linear operators as units, and what their accumulators stand for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from arbonn.errors import LoweringError
from arbonn.flows.lowering.activation import edge_values, no_grid
from arbonn.flows.lowering.chain import Chain
from arbonn.flows.lowering.flow import Flow, table_values
from arbonn.flows.lowering.linear import Linear
from arbonn.flows.lowering.points import Layer, Point
from arbonn.flows.lowering.region import Region
from arbonn.flows.lowering.weights import bipolar, integer_weights, matrix_of
from arbonn.flows.lowering.wide import evaluate_steps, thresholds_of
from arbonn.hw.datatypes import Integers, datatype, smallest
from arbonn.hw.units.acc_pool import AccPool
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.vvau import VVAU


def append_linear(chain: Chain, linear: Linear, source: Point, output: str, last: bool) -> tuple[Layer, Flow]:
    """The units of a linear operator behind the chain's end, up to the one that accumulates; `last`: rows are compared."""
    chain.linear_windows(linear, source.zero, source.edge)
    given = chain.last.dtype
    if linear.sums:
        weights, alpha = np.ones(linear.weights.shape, np.int64), linear.weights[:, 0]
        assert linear.window is not None
        chain.acc_pool(linear, smallest(linear.window.taps * given.low, linear.window.taps * given.high))
    else:
        weights, alpha = integer_weights(linear)
        # Popcounts of few-bit inputs differ between rows by a constant: as logits they do not compare.
        append_weights(chain, linear, weights, "dot" if last and given.name != "BIPOLAR" else bipolar(weights))
    layer = Layer(chain.nodes[-1].id, linear, weights, alpha, source, output)
    node, rows = chain.nodes[-1], len(weights)
    if isinstance(node, AccPool):
        low, high = np.full(rows, node.taps * given.low), np.full(rows, node.taps * given.high)
    else:
        assert isinstance(node, MVAU | VVAU)
        low, high = matrix_of(node).accumulator_range(given.low, given.high, given)

    def values(levels: Integers) -> NDArray[np.float32]:
        acc = levels[:, None].clip(low, high)
        return layer.exact(acc if isinstance(node, AccPool) else matrix_of(node).to_dot(acc, given)).astype(np.float32)

    unit = None if isinstance(node, AccPool) else len(chain.nodes) - 1
    return layer, Flow(chain.end, output, np.arange(low.min(), high.max() + 1), low, high, values, unit)


def append_weights(chain: Chain, linear: Linear, weights: Integers, domain: str) -> None:
    """An MVAU, or a VVAU for a depth-wise operator."""
    kind = datatype("BIPOLAR") if (np.abs(weights) == 1).all() else smallest(int(weights.min()), int(weights.max()))
    node = (VVAU if linear.depthwise else MVAU)(
        chain.name("vvau" if linear.depthwise else "mvau"), weights, kind, domain, origin=(linear.node,)
    )
    source = chain.last.dtype
    least, most = matrix_of(node).accumulator_range(source.low, source.high, source)
    chain.append(node, linear.after, smallest(int(least.min()), int(most.max())))


def append_thresholds(chain: Chain, flow: Flow, region: Region, where: str, zero: bool) -> tuple[Flow, Point]:
    """A region without poolings as thresholds in the unit that accumulates; for accumulators too many for a table."""
    assert flow.unit is not None
    node, rows = chain.nodes[flow.unit], flow.channels
    assert isinstance(node, MVAU | VVAU)
    source = next(s.dtype for s in chain.streams if s.sink is not None and s.sink.node == node.id)
    steps = evaluate_steps(region, flow.values, int(flow.levels[0]), int(flow.levels[-1]), where)
    totals = ((1 << source.bits) - 1) * matrix_of(node).columns if node.domain == "popcount" else 0
    edges = edge_values(region, rows, where)
    found = thresholds_of(steps, totals, where, [*edges, *([0.0] if zero else [])])
    if found is None:
        raise no_grid(len(np.unique(steps.values)), where, bool(edges) or zero)
    weights = np.where(found.falls[:, None], -node.weights, node.weights)
    origin = (*node.origin, *(n.name for n in region.nodes))
    kind = node.weight_dtype if node.domain == "popcount" else smallest(int(weights.min()), int(weights.max()))
    chain.nodes[flow.unit] = replace(
        node, weights=weights, weight_dtype=kind, thresholds=found.thresholds, offset=found.offset, origin=origin
    )
    dtype, borders, grid = found.grid.dtype, found.extra[: len(edges)], found.grid
    if len(set(borders)) > 1 or (dtype.name == "BIPOLAR" and any(abs(n) > 1 for n in found.extra)):
        raise no_grid(len(np.unique(steps.values)), where, padded=True)
    if dtype.name != "BIPOLAR":  # a constant row of all ones still needs room for its one threshold
        dtype = smallest(min((found.offset, *found.extra)), max((found.offset + found.thresholds.shape[1], *found.extra)))
    chain.end = flow.end
    chain.streams[flow.end] = replace(chain.last, dtype=dtype)
    point = Point(region.end, grid.step, grid.base, grid.deviation, region.orders[region.end], borders[0] if borders else 0)
    levels, first = np.unique(grid.integers, return_index=True)
    seen = np.concatenate([steps.first, steps.values])[first]
    low, high = np.full(rows, levels[0]), np.full(rows, levels[-1])
    values = table_values(levels, np.repeat(seen[:, None], rows, axis=1))
    return Flow(flow.end, region.end, levels, low, high, values), point


def refuse_large(levels: int, channels: int, most: int, where: str) -> None:
    if levels * channels > most:
        raise LoweringError(
            where,
            found=f"{levels} integers in {channels} channels to evaluate",
            allowed=f"{most} values",
            fix="quantize the layer's input to fewer bits",
        )
