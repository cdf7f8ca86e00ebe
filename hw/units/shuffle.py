"""Shuffle: the channels of every pixel in another order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from amaranth.hdl import Cat, Module

from arbonn.hw.cost.control import control_parts
from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Node, Ports
from arbonn.hw.schedule import Control, Mark, Schedule
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent
from arbonn.hw.units.window import lanes_of


@dataclass(frozen=True, eq=False)
class Shuffle(Node):
    """o[c] = i[order[c]].

    A whole pixel passes in one transfer, so the order is wiring; width converters beside it fold it.

    Parameters  order (C,): a permutation.    Streams  i, o: (..., C), equal types, C lanes.
    Timing      one step a transfer; first_out = 1; II 1.    Stalls  a rigid pipeline of 1.
    """

    order: Integers
    depth: int = 1

    def knobs(self, ports: Ports) -> dict[str, tuple[str, int]]:
        return {port: ("", stream.shape[-1]) for port, stream in ports.items()}

    def problems(self, ports: Ports) -> Iterator[str]:
        i, o = ports["i"], ports["o"]
        if i.shape != o.shape or i.dtype != o.dtype:
            yield f"i {i.shape} {i.dtype} and o {o.shape} {o.dtype}"
        elif sorted(self.order.tolist()) != list(range(i.shape[-1])):
            yield f"an order that is no permutation of {i.shape[-1]} channels"
        elif (i.lanes, o.lanes) != (i.shape[-1], i.shape[-1]) or self.depth != 1:
            yield f"i by {i.lanes} and o by {o.lanes} lanes, depth {self.depth} ({i.shape[-1]} lanes and depth 1 allowed)"

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        return {"o": inputs["i"][..., self.order]}

    def control(self, ports: Ports) -> Control:
        return Control((Schedule((1,), takes=(Mark("i"),), gives=(Mark("o"),), depth=self.depth),))

    def parts(self, ports: Ports, target: str) -> Parts:
        return control_parts(self.control(ports)) + amounts(ports["o"].width)

    def component(self, ports: Ports) -> UnitComponent:
        return ShuffleComponent(self, ports)


class ShuffleComponent(UnitComponent):
    """One register behind the wires."""

    node: Shuffle

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        (seq,) = sequencers
        codes = lanes_of(self, "i")
        with m.If(seq.move):
            m.d.sync += self.port("o").payload.eq(Cat(*(codes[c] for c in self.node.order.tolist())))
