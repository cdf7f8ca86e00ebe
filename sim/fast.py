"""The fast reference: equal to the plain one (`arbonn.sim.reference`) in every integer, 50 to 200 times faster on binary networks.

Streams are kept as bit planes where that is quicker (64 channels to a word), and an MVAU is popcounts of x AND w over pairs of planes: one
compiled loop for few-bit and signed values alike, and a shorter one, of x XOR w, for bipolar ones. Each unit's fast form is a file in
`arbonn.sim.forms`; a unit without one runs its own `evaluate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

import arbonn.sim.forms  # noqa: F401  registers them
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph, Stream
from arbonn.sim.bits import WORD
from arbonn.sim.forms.form import step_of
from arbonn.sim.reference import checked
from arbonn.sim.values import Values, flat

BATCH, CACHE = 512, 1 << 20  # frames at a time, at most; octets of a stream at a time: what lies between two layers stays in a near cache


class FastReference:
    """A graph prepared once for any number of batches."""

    def __init__(self, graph: DataflowGraph) -> None:
        self.graph = graph
        self.steps = [(node, graph.ports(node), step_of(node, graph.ports(node))) for node in graph.ordered()]
        self.batch = max(1, min(BATCH, CACHE // max(packed_octets(s) for s in graph.streams)))

    def run(self, inputs: Mapping[str, NDArray[np.integer]], wanted: Sequence[str] | None = None) -> dict[str, Integers]:
        """Values (frames, *shape) of the `wanted` streams (default: the graph's outputs), from those on its inputs.

        Takes any integers, unsigned 8-bit ones without copying. Memory beyond inputs and results is that of `BATCH` frames.
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
        for start in range(0, len(next(iter(given.values()))), self.batch):
            rows = slice(start, start + self.batch)
            values = {s.id: Values(s, flat(given[s.id][rows], s)) for s in self.graph.inputs}
            for node, ports, step in self.steps:
                outputs = step({p: values[ports[p].id] for p in node.takes})
                values.update({ports[p].id: outputs[p] for p in node.gives})
            yield rows, values


def packed_octets(stream: Stream) -> int:
    """Of a frame as bit planes."""
    return stream.elements // stream.shape[-1] * stream.dtype.bits * -(-stream.shape[-1] // WORD) * 8


def execute(graph: DataflowGraph, inputs: Mapping[str, NDArray[np.integer]], wanted: Sequence[str] | None = None) -> dict[str, Integers]:
    """What `FastReference.run` gives, for one call."""
    return FastReference(graph).run(inputs, wanted)
