"""Compares a lowered graph with QONNX's own execution of the file, layer by layer, on real frames.

Every layer is fed QONNX's own integers, so one difference never hides behind another. A differing integer is a *tie* when the bound
on float32 rounding (`tie_bound`) lets the file's arithmetic give either integer, else a *mismatch*. There is no other tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arbonn.flows.lowering.layers import Built
from arbonn.flows.lowering.layout import from_stream, to_stream
from arbonn.flows.lowering.points import Layer, Point
from arbonn.flows.lowering.region import Region
from arbonn.flows.lowering.tie_bound import Interval, linear_interval, point_values, region_interval
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph
from arbonn.sim import reference

BATCH = 1000  # frames a run of QONNX
ELEMENTS = 1 << 23  # of one stream in a batch: bounds memory


class Difference(NamedTuple):
    """One integer that differs: the graph's node, channel and sample, our integer and the file's."""

    node: str
    channel: int
    sample: int
    ours: int
    file: int


@dataclass
class Verification:
    """What was compared, in numbers. `ties` and `mismatches` are all differences, in the order of the layers."""

    samples: int = 0
    integers: int = 0
    labels_equal: int = 0
    ties: list[Difference] = field(default_factory=list)
    mismatches: list[Difference] = field(default_factory=list)

    @property
    def first_mismatch(self) -> str | None:
        """The first node that differs, in a sentence."""
        if not self.mismatches:
            return None
        m = self.mismatches[0]
        return f"{m.node}, channel {m.channel}, sample {m.sample}: {m.ours}, the file has {m.file}"


def verify(graph: DataflowGraph, built: Built, frames: Integers) -> Verification:
    """Compares `graph`, however folded or rewritten, with the network it was built from, on codes (frames, ...) in its input's order."""
    result = Verification(samples=len(frames))
    size = max(1, min(BATCH, ELEMENTS // max(s.elements for s in graph.streams)))
    for start in range(0, len(frames), size):
        _verify_batch(graph, built, frames[start : start + size].reshape(-1, *graph.inputs[0].shape), start, result)
    return result


def _verify_batch(graph: DataflowGraph, built: Built, codes: Integers, offset: int, result: Verification) -> None:
    network = built.front.network
    values = graph.contract.values(codes)
    file = network.execute(from_stream(values, built.front.orders[network.input]))
    given, streams = codes, _layer_streams(graph, built)
    source = graph.inputs[0].id
    ties: list[Difference] = []

    def compare(node: str, point: Point, ours: Integers, bounds: _Bounds) -> Integers | None:
        """The file's integers at a point; None where its values are on no integers, which ends the comparison."""
        floats, channels = point.on_stream(file[point.tensor]), ours.shape[-1]
        ours = ours.reshape(len(codes), -1)
        theirs = point.integers(floats)
        result.integers += theirs.size
        astray = np.abs(floats - point_values(point, theirs)) > 0.01 * abs(point.step)
        for sample, place in np.argwhere((ours != theirs) | astray):
            low, high = bounds(sample)
            reach = sorted((int(point.integers(low[place])), int(point.integers(high[place]))))
            pair = int(ours[sample, place]), int(theirs[sample, place])
            tie = not astray[sample, place] and reach[0] <= min(pair) and max(pair) <= reach[1]
            (ties if tie else result.mismatches).append(Difference(node, int(place) % channels, int(sample) + offset, *pair))
        return None if astray.any() else theirs

    for k, point in enumerate(built.points):
        stream = streams[k]
        ours = _partial(graph, source, given, stream)
        bounds = _Bounds(built.front, values) if k == 0 else _Bounds(built.layers[k - 1].region, given, built.layers[k - 1])
        theirs = compare(_producer(graph, stream), point, ours, bounds)
        if theirs is None:
            result.ties += ties
            return
        given, source = theirs.reshape(-1, *graph.stream(stream).shape), stream
    ours = _partial(graph, source, given, streams[-1])
    labels = _compare_logits(graph, built, file, given, ours, offset, result, ties)
    result.ties += ties
    # Samples with no difference were fed their own integers all the way: only the others have to run from the input to the label.
    seen, tied = ours.argmax(axis=1), {t.sample - offset for t in ties}
    others = sorted(tied | {m.sample - offset for m in result.mismatches if m.sample >= offset})
    if others:
        seen[others] = reference.execute(graph, {graph.inputs[0].id: codes[others]})[streams[-1]].argmax(axis=1)
    result.labels_equal += int((seen == labels).sum())
    for sample in np.flatnonzero(seen != labels):
        if int(sample) not in tied:
            result.mismatches.append(Difference("label", 0, int(sample) + offset, int(seen[sample]), int(labels[sample])))


def _compare_logits(
    graph: DataflowGraph,
    built: Built,
    file: dict[str, NDArray[np.float32]],
    given: Integers,
    ours: Integers,
    offset: int,
    result: Verification,
    ties: list[Difference],
) -> Integers:
    """Labels from the file's own integers, and the file's logits against the bound around the exact ones. Returns the file's labels."""
    layer = built.layers[-1]
    logits = to_stream(file[layer.region.end], layer.region.orders[layer.region.end]).astype(np.float64)
    low, high = region_interval(layer.region, linear_interval(layer, given))
    node = _producer(graph, _layer_streams(graph, built)[-1])
    for sample, channel in np.argwhere(~((logits >= low) & (logits <= high))):
        result.mismatches.append(
            Difference(node, int(channel), int(sample) + offset, int(ours[sample, channel]), int(np.rint(logits[sample, channel])))
        )
    # Whatever the integers mean, they must be ordered as the bounds are: of two classes with bounds apart, the greater has more.
    order = np.lexsort((-low, ours), axis=1)
    most = np.maximum.accumulate(np.take_along_axis(low, order, axis=1), axis=1)
    for sample, place in np.argwhere(most > np.take_along_axis(high, order, axis=1)):
        channel = order[sample, place]
        expected = int(np.rint(logits[sample, channel]))
        result.mismatches.append(Difference(node, int(channel), int(sample) + offset, int(ours[sample, channel]), expected))
    labels, own = logits.argmax(axis=1), ours.argmax(axis=1)
    result.integers += labels.size
    for sample in np.flatnonzero(labels != own):
        a, b = own[sample], labels[sample]
        overlap = high[sample, a] >= low[sample, b] and high[sample, b] >= low[sample, a]
        (ties if overlap else result.mismatches).append(Difference("label", 0, int(sample) + offset, int(a), int(b)))
    return labels


class _Bounds:
    """Bounds on one sample's values at the end of a region, computed when first asked for: most samples have no difference."""

    def __init__(self, region: Region, given: NDArray[Any], layer: Layer | None = None) -> None:
        self.region, self.given, self.layer = region, given, layer

    def __call__(self, sample: int) -> Interval:
        row = self.given[sample : sample + 1]
        exact = row.astype(np.float64)
        low, high = region_interval(self.region, (exact, exact) if self.layer is None else linear_interval(self.layer, row))
        return low[0], high[0]


def _layer_streams(graph: DataflowGraph, built: Built) -> list[str]:
    """The stream that each layer takes, then the one with the logits; they keep their place however the graph was rewritten."""
    streams = [graph.ports(graph.node(layer.entry))["i"].id for layer in built.layers]
    selects = [n for n in graph.nodes if n.kind == "LabelSelect"]
    return [*streams, graph.ports(selects[0])["i"].id if selects else graph.outputs[0].id]


def _producer(graph: DataflowGraph, stream: str) -> str:
    source = graph.stream(stream).source
    return source.node if source else "input"


def _partial(graph: DataflowGraph, start: str, values: Integers, end: str) -> Integers:
    """Values on stream `end` from those on stream `start`, by the units between them."""
    known = {start: values}
    for node in graph.ordered():
        ports = graph.ports(node)
        if end not in known and all(ports[p].id in known for p in node.takes):
            outputs = node.evaluate({p: known[ports[p].id] for p in node.takes}, ports)
            known.update({ports[p].id: outputs[p] for p in node.gives})
    return known[end]
