"""Split: a stream's channels in parts, one stream each; and what it shares with Concat, its inverse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import gcd

import numpy as np

from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Ports
from arbonn.hw.schedule import Control, Mark, Schedule, at
from arbonn.hw.units.fork import Fork


@dataclass(frozen=True, eq=False)
class Split(Fork):
    """o0 = the first channels of i, o1 = the next, ...; for each pixel.

    Streams  i: (..., sum of C_k).  o0, o1, ...: (..., C_k). Equal types and lanes; the lanes divide each C_k.
    Timing   one step a transfer of i; gives to one output at a time. first_out = 1; II of i 1; no bubble between outputs or pixels.
    Stalls   a rigid pipeline of 1: all wait for the output whose word is not taken.
    """

    def knobs(self, ports: Ports) -> dict[str, tuple[str, int]]:
        return parts_knobs(self.gives, ports)

    def problems(self, ports: Ports) -> Iterator[str]:
        if not 2 <= self.outputs <= 16 or self.depth != 1:
            yield f"{self.outputs} outputs (2 .. 16 allowed), depth {self.depth} (1 allowed)"
        yield from parts_problems("i", self.gives, ports)

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        ends = list(accumulate(ports[p].shape[-1] for p in self.gives))
        return dict(zip(self.gives, np.split(inputs["i"], ends[:-1], axis=-1), strict=True))

    def control(self, ports: Ports) -> Control:
        bounds = (ports["i"].shape[-1] // ports["i"].lanes,)
        gives = tuple(Mark(p, at(bounds, 0, start, stop)) for p, start, stop in parts(self.gives, ports))
        return Control((Schedule(bounds, takes=(Mark("i"),), gives=gives, depth=self.depth),))


def parts(names: tuple[str, ...], ports: Ports) -> Iterator[tuple[str, int, int]]:
    """(port, first transfer, one past its last) of each part of a pixel."""
    start = 0
    for p in names:
        stop = start + ports[p].shape[-1] // ports[p].lanes
        yield p, start, stop
        start = stop


def parts_knobs(names: tuple[str, ...], ports: Ports) -> dict[str, tuple[str, int]]:
    """All ports have the same lanes, which divide every part."""
    return dict.fromkeys(ports, ("PE", gcd(*(ports[p].shape[-1] for p in names))))


def parts_problems(whole: str, names: tuple[str, ...], ports: Ports) -> Iterator[str]:
    """What is not legal about the parts of a stream."""
    w = ports[whole]
    if sum(ports[p].shape[-1] for p in names) != w.shape[-1]:
        yield f"parts of {[ports[p].shape[-1] for p in names]} channels and {whole} of {w.shape[-1]}"
    for p in names:
        if (ports[p].shape[:-1], ports[p].dtype, ports[p].lanes) != (w.shape[:-1], w.dtype, w.lanes):
            yield f"{p} that differs from {whole} in pixels, type or lanes"
