"""DuplicateStreams: one stream to several consumers, as where a residual branch leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Ports
from arbonn.hw.schedule import Control, Mark, Schedule
from arbonn.hw.units.fork import Fork


@dataclass(frozen=True, eq=False)
class DuplicateStreams(Fork):
    """o0 = o1 = ... = i.

    Streams  i, o0, o1, ...: equal in shape, type and lanes.    Timing  one step a transfer; first_out = 1; II 1.
    Stalls   a rigid pipeline of 1; each output is taken in its own time (an eager fork), the next word comes when all have been.
    """

    def problems(self, ports: Ports) -> Iterator[str]:
        i = ports["i"]
        if not 2 <= self.outputs <= 16 or self.depth != 1:
            yield f"{self.outputs} outputs (2 .. 16 allowed), depth {self.depth} (1 allowed)"
        for p in self.gives:
            if (ports[p].shape, ports[p].dtype, ports[p].lanes) != (i.shape, i.dtype, i.lanes):
                yield f"{p} that differs from i in shape, type or lanes"

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        return dict.fromkeys(self.gives, inputs["i"])

    def control(self, ports: Ports) -> Control:
        folds = ports["i"].shape[-1] // ports["i"].lanes
        return Control((Schedule((folds,), takes=(Mark("i"),), gives=tuple(Mark(p) for p in self.gives), depth=self.depth),))
