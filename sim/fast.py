"""The fast reference: equal to the plain one (`arbonn.sim.reference`) in every integer, 100 times faster on binary networks.

Streams are kept as bit planes where that is quicker (64 channels to a word), and an MVAU is popcounts of x AND w over pairs of planes: one
compiled loop for few-bit and signed values alike, and a shorter one, of x XOR w, for bipolar ones. A unit that has no fast form here runs
its own `evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from arbonn.hw.datatypes import DataType, Integers
from arbonn.hw.graph import DataflowGraph, Node, Ports, Stream
from arbonn.hw.units.dwc import DWC
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.label_select import LabelSelect
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.thresholding import Thresholding
from arbonn.sim import bits
from arbonn.sim.bits import WORD, Words
from arbonn.sim.reference import checked

BATCH = 512  # frames at a time: what lies between two layers stays in the second-nearest cache


class Values:
    """What a stream carries: integers (rows, channels) or bit planes (rows, bits, words), whichever was made; the other on demand."""

    def __init__(self, stream: Stream, integers: NDArray[np.integer] | None = None, planes: Words | None = None) -> None:
        self.stream, self._integers, self._planes = stream, integers, planes
        self.channels = stream.shape[-1]
        self.rows = len(integers if integers is not None else planes if planes is not None else ())

    def integers(self) -> NDArray[np.integer]:
        """int64; or, of an input, the caller's own octets."""
        if self._integers is None:
            assert self._planes is not None
            made = np.empty((self.rows, self.channels), np.int64)
            coefficients, zero = weights_of_bits(self.stream.dtype)
            bits.unpack_values(self._planes, coefficients, zero, made)
            self._integers = made
        return self._integers

    def planes(self) -> Words:
        if self._planes is None:
            assert self._integers is not None
            self._planes = empty_planes(self.rows, self.stream)
            bits.pack_values(self._integers, self.stream.dtype.name == "BIPOLAR", self._planes)
        return self._planes

    def frames(self) -> Integers:
        """int64 (frames, *shape), as the plain reference gives."""
        return self.integers().astype(np.int64, copy=False).reshape(-1, *self.stream.shape)

    def passed_on(self, stream: Stream) -> Values:
        """The same on another stream that differs in lanes only."""
        return Values(stream, self._integers, self._planes)


Step = Callable[[Mapping[str, Values]], Mapping[str, Values]]  # by port name


def weights_of_bits(dtype: DataType) -> tuple[Integers, int]:
    """What each stored bit adds to a value, and the value of all bits clear."""
    if dtype.name == "BIPOLAR":
        return np.array([2]), -1
    coefficients = 1 << np.arange(dtype.bits)
    if dtype.signed:
        coefficients[-1] *= -1
    return coefficients, 0


def empty_planes(rows: int, stream: Stream) -> Words:
    return np.empty((rows, stream.dtype.bits, -(-stream.shape[-1] // WORD)), np.uint64)


def is_bit(stream: Stream, thresholds: Integers, offset: int) -> bool:
    """Whether a thresholded output is one bit: the comparison itself."""
    return stream.dtype.bits == 1 and thresholds.shape[1] == 1 and offset == 0


class FastReference:
    """A graph prepared once for any number of batches."""

    def __init__(self, graph: DataflowGraph) -> None:
        self.graph = graph
        self.steps = [(node, graph.ports(node), step_of(node, graph.ports(node))) for node in graph.ordered()]

    def run(self, inputs: Mapping[str, NDArray[np.integer]], wanted: Sequence[str] | None = None) -> dict[str, Integers]:
        """Values (frames, *shape) of the `wanted` streams (default: the graph's outputs), from those on its inputs.

        Takes any integers, 8-bit ones without copying. Memory beyond inputs and results is that of `BATCH` frames.
        Raises InputError as the plain reference does.
        """
        given = {s.id: checked(s, inputs) for s in self.graph.inputs}
        names = [s.id for s in self.graph.outputs] if wanted is None else list(wanted)
        results = {name: np.empty((len(next(iter(given.values()))), *self.graph.stream(name).shape), np.int64) for name in names}
        for rows, values in self._batches(given):
            for name in names:
                results[name][rows] = values[name].frames()
        return results

    def _batches(self, given: Mapping[str, NDArray[np.integer]]) -> Iterator[tuple[slice, dict[str, Values]]]:
        for start in range(0, len(next(iter(given.values()))), BATCH):
            rows = slice(start, start + BATCH)
            values = {s.id: Values(s, flat(given[s.id][rows], s)) for s in self.graph.inputs}
            for node, ports, step in self.steps:
                outputs = step({p: values[ports[p].id] for p in node.takes})
                values.update({ports[p].id: outputs[p] for p in node.gives})
            yield rows, values


def execute(graph: DataflowGraph, inputs: Mapping[str, NDArray[np.integer]], wanted: Sequence[str] | None = None) -> dict[str, Integers]:
    """What `FastReference.run` gives, for one call."""
    return FastReference(graph).run(inputs, wanted)


def flat(values: NDArray[np.integer], stream: Stream) -> NDArray[np.integer]:
    """Rows of channels, in one of the three element types that the loops are compiled for."""
    kept = values.dtype in (np.uint8, np.int8, np.int64)
    return np.ascontiguousarray(values if kept else values.astype(np.int64)).reshape(-1, stream.shape[-1])


def step_of(node: Node, ports: Ports) -> Step:
    """The fast form of a unit, else its own `evaluate`. Of exactly these classes: another one may compute something else."""
    if type(node) in (FIFO, DWC):
        return lambda inputs: {"o": inputs["i"].passed_on(ports["o"])}
    if type(node) is Thresholding:
        return thresholding(node, ports)
    if type(node) is MVAU:
        return mvau(node, ports)
    if type(node) is Lookup:
        return lookup(node, ports)
    if type(node) is LabelSelect:
        return label_select(node, ports)
    return plain(node, ports)


def plain(node: Node, ports: Ports) -> Step:
    def step(inputs: Mapping[str, Values]) -> Mapping[str, Values]:
        outputs = node.evaluate({p: v.frames() for p, v in inputs.items()}, ports)
        return {p: Values(ports[p], flat(outputs[p], ports[p])) for p in node.gives}

    return step


def thresholding(node: Thresholding, ports: Ports) -> Step:
    i, o = ports["i"], ports["o"]
    # Clipped to what decides: 16 bits are then enough for octets, and twice as quick.
    limits = np.clip(node.thresholds[:, 0], i.dtype.low, i.dtype.high + 1).astype(np.int16 if i.dtype.bits <= 8 else np.int64)

    def to_bits(inputs: Mapping[str, Values]) -> Mapping[str, Values]:
        given = inputs["i"]
        made = empty_planes(given.rows, o)
        bits.reach_one(given.integers(), limits, made)
        return {"o": Values(o, planes=made)}

    def to_levels(inputs: Mapping[str, Values]) -> Mapping[str, Values]:
        return {"o": Values(o, reached(inputs["i"].integers(), node.thresholds, node.offset, o.dtype))}

    return to_bits if is_bit(o, node.thresholds, node.offset) else to_levels


def reached(values: NDArray[np.integer], thresholds: Integers, offset: int, dtype: DataType) -> Integers:
    made = np.empty(values.shape, np.int64)
    bits.reach_many(values, thresholds, offset, made)
    return dtype.decode(made) if dtype.name == "BIPOLAR" else made


def lookup(node: Lookup, ports: Ports) -> Step:
    slow = plain(node, ports)

    def step(inputs: Mapping[str, Values]) -> Mapping[str, Values]:
        values = inputs["i"].integers()
        if values.size and not (node.low <= values.min() and values.max() < node.low + node.table.shape[1]):
            return slow(inputs)  # such a graph is wrong, but the compiled loop must not read past the table
        made = np.empty(values.shape, np.int64)
        bits.look_up(values, node.table, node.low, made)
        return {"o": Values(ports["o"], made)}

    return step


def label_select(node: LabelSelect, ports: Ports) -> Step:
    def step(inputs: Mapping[str, Values]) -> Mapping[str, Values]:
        labels = np.empty(inputs["i"].rows, np.int64)
        bits.first_greatest(inputs["i"].integers(), labels)
        label = {"label": Values(ports["label"], labels[:, None])}
        return label | ({"logits": inputs["i"].passed_on(ports["logits"])} if node.logits else {})

    return step


def mvau(node: MVAU, ports: Ports) -> Step:
    """Dots from popcounts, then levels of the dots (thresholds are brought there once), or the dots as accumulators."""
    i, o = ports["i"], ports["o"]
    bipolar = i.dtype.name == node.weight_dtype.name == "BIPOLAR"
    dots = dots_of_bits(node) if bipolar else dots_of_planes(node, i.dtype)
    if node.thresholds is None:
        return lambda inputs: {"o": Values(o, node.from_dot(dots(inputs["i"].planes()), i.dtype))}
    thresholds = np.stack([node.to_dot(column, i.dtype) for column in node.thresholds.T], axis=1)
    if not (bipolar and is_bit(o, thresholds, node.offset)):
        return lambda inputs: {"o": Values(o, reached(dots(inputs["i"].planes()), thresholds, node.offset, o.dtype))}
    weights = blocked(node)
    most = np.full((len(weights), WORD), -1)  # neurons that fill the last block are never reached
    most.reshape(-1)[: node.rows] = (node.columns - thresholds[:, 0]) // 2  # dot = columns - 2 * bits that differ

    def to_bits(inputs: Mapping[str, Values]) -> Mapping[str, Values]:
        planes = inputs["i"].planes()
        made = np.empty((len(planes), 1, len(weights)), np.uint64)
        bits.differ_and_reach(planes, weights, most, made)
        return {"o": Values(o, planes=made)}

    return to_bits


def dots_of_bits(node: MVAU) -> Callable[[Words], Integers]:
    """Bipolar times bipolar: columns - 2 * popcount(x XOR w)."""
    weights = blocked(node)

    def dots(planes: Words) -> Integers:
        counts = np.empty((len(planes), node.rows), np.int64)
        bits.differ(planes, weights, counts)
        return node.columns - 2 * counts

    return dots


def dots_of_planes(node: MVAU, dtype: DataType) -> Callable[[Words], Integers]:
    """Sum over planes (cx_j x_j + zx) . (cw_b w_b + zw): popcounts of x_j AND w_b, of x_j alone, and a constant a neuron."""
    (x_bits, x_zero), (w_bits, w_zero) = weights_of_bits(dtype), weights_of_bits(node.weight_dtype)
    weights, pairs, alone = blocked(node), np.outer(x_bits, w_bits), w_zero * x_bits
    constant = np.zeros((len(weights), WORD), np.int64)
    constant.reshape(-1)[: node.rows] = x_zero * node.weights.sum(axis=1)

    def dots(planes: Words) -> Integers:
        made = np.empty((len(planes), node.rows), np.int64)
        bits.multiply(planes, weights, pairs, alone, constant, made)
        return made

    return dots


def blocked(node: MVAU) -> Words:
    """Weights as (blocks, planes, words, 64): 64 neurons side by side, for one word of channels."""
    dtype, blocks = node.weight_dtype, -(-node.rows // WORD)
    rows = np.zeros((blocks * WORD, dtype.bits, -(-node.columns // WORD)), np.uint64)
    bits.pack_values(np.ascontiguousarray(node.weights, dtype=np.int64), dtype.name == "BIPOLAR", rows[: node.rows])
    return np.ascontiguousarray(rows.reshape(blocks, WORD, *rows.shape[1:]).transpose(0, 2, 3, 1))
