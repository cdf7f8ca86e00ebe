"""AddStreams: the sum of streams, element by element, as where a residual branch joins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Signal

from arbonn.hw.cost.control import control_parts
from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Node, Ports
from arbonn.hw.products import number, tree_sum
from arbonn.hw.schedule import Control, Mark, Schedule
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent
from arbonn.hw.units.window import lanes_of


@dataclass(frozen=True, eq=False)
class AddStreams(Node):
    """o = i0 + i1 + ..., as integers.

    Streams  i0, i1, ...: equal shapes and lanes, any types.  o: the same shape and lanes, integers that hold every sum.
    Timing   one step a transfer; takes from all inputs at once. first_out = 1; II 1.
    Stalls   a rigid pipeline of 1; an input is taken when all others offer too.
    """

    inputs: int = 2
    depth: int = 1

    @property
    def takes(self) -> tuple[str, ...]:
        return tuple(f"i{k}" for k in range(self.inputs))

    def problems(self, ports: Ports) -> Iterator[str]:
        o, low, high = ports["o"], sum(ports[p].dtype.low for p in self.takes), sum(ports[p].dtype.high for p in self.takes)
        if not 2 <= self.inputs <= 16 or self.depth != 1:
            yield f"{self.inputs} inputs (2 .. 16 allowed), depth {self.depth} (1 allowed)"
        for p in self.takes:
            if ports[p].shape != o.shape or ports[p].lanes != o.lanes:
                yield f"{p} {ports[p].shape} by {ports[p].lanes} and o {o.shape} by {o.lanes} lanes"
        if o.dtype.name == "BIPOLAR" or low < o.dtype.low or high > o.dtype.high:
            yield f"sums {low} .. {high} in {o.dtype}"

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        return {"o": sum((inputs[p] for p in self.takes[1:]), inputs[self.takes[0]])}

    def control(self, ports: Ports) -> Control:
        folds = ports["o"].shape[-1] // ports["o"].lanes
        return Control((Schedule((folds,), takes=tuple(Mark(p) for p in self.takes), gives=(Mark("o"),), depth=self.depth),))

    def parts(self, ports: Ports, target: str) -> Parts:
        o = ports["o"]
        return control_parts(self.control(ports), reads=1) + amounts(o.width, adder=o.width * (self.inputs - 1))

    def component(self, ports: Ports) -> UnitComponent:
        return AddStreamsComponent(self, ports)


class AddStreamsComponent(UnitComponent):
    """One register behind the adders."""

    node: AddStreams

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        (seq,) = sequencers
        o, results = self.streams["o"], []
        given = [lanes_of(self, p) for p in self.node.takes]
        for lane in range(o.lanes):
            results.append(Signal(o.dtype.bits, name=f"result_{lane}"))
            terms = [number(codes[lane], self.streams[p].dtype) for p, codes in zip(self.node.takes, given, strict=True)]
            m.d.comb += results[-1].eq(tree_sum(terms))
        with m.If(seq.move):
            m.d.sync += self.port("o").payload.eq(Cat(*results))
