"""Compares a lowered graph with QONNX's own execution of the file, point by point, on real frames.

Behind every integer point the graph is fed QONNX's own integers, so one difference never hides behind another. A differing integer is a
*tie* when the bound on float32 rounding (`tie_bound`) lets the file's arithmetic give either integer, else a *mismatch*. There is no
other tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arbonn.flows.lowering.layers import Built
from arbonn.flows.lowering.layout import from_stream, to_stream
from arbonn.flows.lowering.points import Point
from arbonn.flows.lowering.tie_bound import Bounds, Interval, point_values
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
    network = built.network
    values = from_stream(graph.contract.values(codes), built.order)
    file = network.execute(values)
    bounds = Bounds(network, built.layers, {network.input: values})
    known = {graph.inputs[0].id: codes}
    ties: list[Difference] = []
    for point in built.points:
        stream = graph.ports(graph.node(point.at.node))[point.at.port].id
        ours = _partial(graph, known, stream)
        theirs = _compare(_producer(graph, stream), point, file[point.tensor], ours, bounds, offset, result, ties)
        if theirs is None:
            result.ties += ties
            return
        known[stream] = theirs
        bounds.learn(point, theirs)
    stream = logits_stream(graph)
    ours = _partial(graph, known, stream)
    labels = _compare_logits(_producer(graph, stream), file[built.logits], ours, bounds.of(built.logits), offset, result, ties)
    result.ties += ties
    # Samples with no difference were fed their own integers all the way: only the others have to run from the input to the label.
    seen, tied = ours.argmax(axis=1), {t.sample - offset for t in ties}
    others = sorted(tied | {m.sample - offset for m in result.mismatches if m.sample >= offset})
    if others:
        seen[others] = reference.execute(graph, {graph.inputs[0].id: codes[others]})[stream].argmax(axis=1)
    result.labels_equal += int((seen == labels).sum())
    for sample in np.flatnonzero(seen != labels):
        if int(sample) not in tied:
            result.mismatches.append(Difference("label", 0, int(sample) + offset, int(seen[sample]), int(labels[sample])))


def _compare(
    node: str,
    point: Point,
    file: NDArray[np.float32],
    ours: Integers,
    bounds: Bounds,
    offset: int,
    result: Verification,
    ties: list[Difference],
) -> Integers | None:
    """The file's integers at a point, shaped as ours; None where its values are on no integers, which ends the comparison."""
    floats, channels = point.on_stream(file), ours.shape[-1]
    mine, theirs = ours.reshape(len(ours), -1), point.integers(floats)
    result.integers += theirs.size
    astray = np.abs(floats - point_values(point, theirs)) > 0.01 * abs(point.step)
    wrong = (mine != theirs) | astray
    for sample in np.flatnonzero(wrong.any(axis=1)):
        low, high = (to_stream(bound, point.order)[0] for bound in bounds.sample(int(sample)).of(point.tensor))
        for place in np.flatnonzero(wrong[sample]):
            reach = sorted((int(point.integers(low[place])), int(point.integers(high[place]))))
            pair = int(mine[sample, place]), int(theirs[sample, place])
            tie = not astray[sample, place] and reach[0] <= min(pair) and max(pair) <= reach[1]
            (ties if tie else result.mismatches).append(Difference(node, int(place) % channels, int(sample) + offset, *pair))
    return None if astray.any() else theirs.reshape(ours.shape)


def _compare_logits(
    node: str,
    file: NDArray[np.float32],
    ours: Integers,
    bound: Interval,
    offset: int,
    result: Verification,
    ties: list[Difference],
) -> Integers:
    """Labels from the file's own integers, and the file's logits against the bound around the exact ones. Returns the file's labels."""
    logits = file.reshape(len(file), -1).astype(np.float64)
    ours = ours.reshape(len(ours), -1)
    low, high = (side.reshape(logits.shape) for side in bound)
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


def logits_stream(graph: DataflowGraph) -> str:
    """The stream with the logits, however the graph was rewritten."""
    selects = [n for n in graph.nodes if n.kind == "LabelSelect"]
    return graph.ports(selects[0])["i"].id if selects else graph.outputs[0].id


def _producer(graph: DataflowGraph, stream: str) -> str:
    source = graph.stream(stream).source
    return source.node if source else "input"


def _partial(graph: DataflowGraph, known: Mapping[str, Integers], end: str) -> Integers:
    """Values on stream `end` from those that are known, by the units between them."""
    values, waiting = dict(known), [end]
    while waiting:
        stream = graph.stream(waiting[-1])
        if stream.id in values:
            waiting.pop()
            continue
        assert stream.source is not None
        node = graph.node(stream.source.node)
        ports = graph.ports(node)
        missing = [ports[p].id for p in node.takes if ports[p].id not in values]
        if missing:
            waiting += missing
        else:
            outputs = node.evaluate({p: values[ports[p].id] for p in node.takes}, ports)
            values.update({ports[p].id: outputs[p] for p in node.gives if p in outputs})
    return values[end]
