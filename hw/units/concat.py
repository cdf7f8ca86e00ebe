"""Concat: the channels of several streams one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module, Mux, Value

from arbonn.hw.cost.control import control_parts
from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Node, Ports
from arbonn.hw.schedule import Control, Mark, Schedule, at
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent
from arbonn.hw.units.split import parts, parts_knobs, parts_problems


@dataclass(frozen=True, eq=False)
class Concat(Node):
    """o = the channels of i0, then those of i1, ...; for each pixel.

    Streams  i0, i1, ...: (..., C_k).  o: (..., sum of C_k). Equal types and lanes; the lanes divide each C_k.
    Timing   one step a transfer of o; takes from one input at a time. first_out = 1; II of o 1; no bubble between inputs or pixels.
    Stalls   a rigid pipeline of 1; an input waits while another's channels pass.
    """

    inputs: int = 2
    depth: int = 1

    @property
    def takes(self) -> tuple[str, ...]:
        return tuple(f"i{k}" for k in range(self.inputs))

    def knobs(self, ports: Ports) -> dict[str, tuple[str, int]]:
        return parts_knobs(self.takes, ports)

    def problems(self, ports: Ports) -> Iterator[str]:
        if not 2 <= self.inputs <= 16 or self.depth != 1:
            yield f"{self.inputs} inputs (2 .. 16 allowed), depth {self.depth} (1 allowed)"
        yield from parts_problems("o", self.takes, ports)

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        return {"o": np.concatenate([inputs[p] for p in self.takes], axis=-1)}

    def control(self, ports: Ports) -> Control:
        bounds = (ports["o"].shape[-1] // ports["o"].lanes,)
        takes = tuple(Mark(p, at(bounds, 0, start, stop)) for p, start, stop in parts(self.takes, ports))
        return Control((Schedule(bounds, takes=takes, gives=(Mark("o"),), depth=self.depth),))

    def parts(self, ports: Ports, target: str) -> Parts:
        o = ports["o"]
        return control_parts(self.control(ports), reads=1) + amounts(o.width, multiplexer=(self.inputs - 1) * o.width)

    def component(self, ports: Ports) -> UnitComponent:
        return ConcatComponent(self, ports)


class ConcatComponent(UnitComponent):
    """One register behind a multiplexer."""

    node: Concat

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        (seq,) = sequencers
        last, *others = reversed(self.node.takes)
        word: Value = self.port(last).payload
        for p in others:
            word = Mux(seq.now[p], self.port(p).payload, word)
        with m.If(seq.move):
            m.d.sync += self.port("o").payload.eq(word)
