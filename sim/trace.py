"""What is seen, or predicted, on every stream of a running accelerator, and the stalls it ran under."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph

Bits = NDArray[np.bool_]


@dataclass(frozen=True)
class Stalls:
    """Recorded stall patterns: stream id -> one bit a cycle; True lets the end go in that cycle. After its end a pattern is all True.

    An input of the graph: valid = pending | go[t], pending until taken. An output: ready = go[t].
    """

    go: dict[str, Bits]
    probability: float
    seed: int

    def at(self, stream: str, cycles: int) -> Bits:
        """The pattern of one stream over exactly `cycles` cycles."""
        pattern = self.go.get(stream, np.ones(0, bool))[:cycles]
        return np.concatenate([pattern, np.ones(cycles - len(pattern), bool)])


def draw_stalls(graph: DataflowGraph, probability: float, seed: int, cycles: int) -> Stalls:
    """Independent stalls with `probability` in each of the first `cycles` cycles, at every end of the graph."""
    random = np.random.default_rng(seed)
    ends = [s.id for s in (*graph.inputs, *graph.outputs)]
    return Stalls({name: random.random(cycles) >= probability for name in ends}, probability, seed)


@dataclass(frozen=True)
class Trace:
    """`transfers`: stream id -> rising cycles of its transfers. `payloads`: stream id -> payload of each, as the RTL gave it.

    A timing prediction has no payloads. `violations` are breaches of the stream rules that the bench saw.
    """

    transfers: dict[str, Integers]
    cycles: int
    payloads: dict[str, list[int]] = field(default_factory=dict)
    violations: tuple[str, ...] = ()
