"""LabelSelect: the class with the greatest logit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Const, Module, Mux, Signal, Value

from arbonn.hw.cost.control import control_parts
from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Node, Ports
from arbonn.hw.schedule import Control, Mark, Schedule, last
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent


@dataclass(frozen=True, eq=False)
class LabelSelect(Node):
    """label = argmax of the frame's logits; the lowest index wins a tie. With `logits` they are passed on beside it.

    Streams  i: (C,), any lanes.  label: (1,), unsigned.  logits: as i.
    Timing   one step a transfer of i; logits in each, label in the last. depth 1: first_out = 1 (logits), C / lanes (label). II 1.
    Stalls   rigid; each output is taken in its own time (an eager fork).
    """

    logits: bool = True
    depth: int = 1

    @property
    def gives(self) -> tuple[str, ...]:
        return ("label", "logits") if self.logits else ("label",)

    def knobs(self, ports: Ports) -> dict[str, tuple[str, int]]:
        return {port: ("", 1) if port == "label" else ("PE", stream.shape[-1]) for port, stream in ports.items()}

    def problems(self, ports: Ports) -> Iterator[str]:
        i, label = ports["i"], ports["label"]
        if len(i.shape) != 1 or label.shape != (1,) or label.dtype.low != 0 or label.dtype.high < i.shape[0] - 1:
            yield f"i {i.shape} and label {label.shape} {label.dtype} (i has one axis, label is one unsigned number that holds the class)"
        if self.logits and (ports["logits"].shape, ports["logits"].dtype, ports["logits"].lanes) != (i.shape, i.dtype, i.lanes):
            yield "logits that differ from i in shape, type or lanes"
        if self.depth != 1:
            yield f"depth {self.depth} (1 allowed)"

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        label = {"label": np.argmax(inputs["i"], axis=-1)[:, None]}
        return label | ({"logits": inputs["i"]} if self.logits else {})

    def control(self, ports: Ports) -> Control:
        bounds = (ports["i"].transfers,)
        gives = (Mark("label", last(bounds, 0)), *((Mark("logits"),) if self.logits else ()))
        return Control((Schedule(bounds, takes=(Mark("i"),), gives=gives, depth=self.depth),))

    def parts(self, ports: Ports, target: str) -> Parts:
        i, label = ports["i"], ports["label"]
        found = control_parts(self.control(ports)) + amounts(label.width + (i.width if self.logits else 0))
        found += amounts(0, maximum=(i.lanes - 1) * (i.dtype.bits + label.width))
        if i.transfers == 1:
            return found
        return found + amounts(i.dtype.bits + 2 * label.width, maximum=i.dtype.bits + label.width, index=label.width)

    def component(self, ports: Ports) -> UnitComponent:
        return LabelSelectComponent(self, ports)


class LabelSelectComponent(UnitComponent):
    """The best so far is a register that changes with each fired step."""

    node: LabelSelect

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        (seq,) = sequencers
        i, bits = self.streams["i"], self.streams["label"].width
        first_class = Signal(bits)  # of this step's lane 0
        candidates: list[tuple[Value, Value]] = []
        for lane in range(i.lanes):
            code = self.port("i").payload[lane * i.dtype.bits : (lane + 1) * i.dtype.bits]
            candidates.append((code.as_signed() if i.dtype.signed else code, first_class + lane))
        while len(candidates) > 1:  # by halves; the earlier one wins a tie
            pairs = [
                (Mux(b[0] > a[0], b[0], a[0]), Mux(b[0] > a[0], b[1], a[1]))
                for a, b in zip(candidates[::2], candidates[1::2], strict=False)
            ]
            candidates = pairs + ([candidates[-1]] if len(candidates) % 2 else [])
        value, name = candidates[0]
        best_value, best_class, wins = Signal(value.shape()), Signal(bits), Signal()
        m.d.comb += wins.eq((seq.index[0] == 0) | (value > best_value))
        new_class = Mux(wins, name, best_class)[:bits]
        with m.If(seq.fire):
            m.d.sync += [best_value.eq(Mux(wins, value, best_value)), best_class.eq(new_class)]
            m.d.sync += first_class.eq(Mux(seq.wrap, Const(0, bits), first_class + i.lanes))
        with m.If(seq.move):
            m.d.sync += self.port("label").payload.eq(new_class)
            if self.node.logits:
                m.d.sync += self.port("logits").payload.eq(self.port("i").payload)
