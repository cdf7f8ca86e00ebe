"""UnrolledMVAU: a layer whose constant weights are wiring: a vector a cycle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from amaranth.hdl import Cat, Module, Signal, Value

from arbonn.hw.cmvm.cone import cone
from arbonn.hw.cmvm.layer import Layer
from arbonn.hw.cmvm.netlist import Lut
from arbonn.hw.cmvm.stages import Stages, cut
from arbonn.hw.cmvm.verilog import output_nets
from arbonn.hw.cmvm.weighted import weighted
from arbonn.hw.cost.control import control_parts
from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.datatypes import DataType, Integers
from arbonn.hw.graph import UNSAVED_DEFAULT, Node, Ports
from arbonn.hw.netlist_logic import NetlistLogic
from arbonn.hw.schedule import Control, Mark, Schedule
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent
from arbonn.hw.units.mvau import MVAU

MOVES = 20_000
WIDEST = 8  # bits of an input or a weight
NARROW = 4  # inputs of a LUT that every family has


@dataclass(frozen=True, eq=False)
class UnrolledMVAU(Node):
    """o[r] = levels(acc[r]), or acc[r] itself without thresholds: an MVAU's values, for constant weights.

    Parameters  weights (MH, MW); weight_dtype, domain, thresholds and offset as an MVAU's. Weights of -1, 0 and 1, or of two values (SBNN),
                cost what their connections cost, a neuron of at most 6 connections to bits and with one threshold a LUT; weights of more
                values are added by their binary digits, inputs of more bits by theirs.
                depth: pipeline stages, cut at whole LUT levels.
                seed, moves: of the search for few LUTs, moves for each output: what it finds depends on these alone.
                primitives: LUTs and carry chains as cells of 7-series and UltraScale+; else the same as logic for any device.
    Streams     i: (..., MW), at most 8 bits, all lanes.  o: (..., MH), all lanes.
    Timing      each step takes i and gives o. first_out = depth; interval = vectors in a frame; II 1.
    Stalls      a rigid pipeline: all of it waits while o is not taken.
    Memory      none; registers between the stages.
    """

    weights: Integers
    weight_dtype: DataType
    domain: str = "popcount"
    thresholds: Integers | None = None
    offset: int = 0
    depth: int = 1
    seed: int = 0
    primitives: bool = False
    moves: int = field(default=MOVES, metadata=UNSAVED_DEFAULT)

    @cached_property
    def folded(self) -> MVAU:
        """The MVAU of the same values."""
        return MVAU(self.id, self.weights, self.weight_dtype, self.domain, self.thresholds, self.offset)

    def knobs(self, ports: Ports) -> dict[str, tuple[str, int]]:
        return {"i": ("", self.weights.shape[1]), "o": ("", self.weights.shape[0])}

    def problems(self, ports: Ports) -> Iterator[str]:
        i, o = ports["i"], ports["o"]
        if max(i.dtype.bits, self.weight_dtype.bits) > WIDEST:
            yield f"{i.dtype} inputs and {self.weight_dtype} weights (at most {WIDEST} bits allowed)"
            return
        yield from self.folded.problems(ports)
        if i.lanes != i.shape[-1] or o.lanes != o.shape[-1]:
            yield f"{i.lanes} of {i.shape[-1]} and {o.lanes} of {o.shape[-1]} lanes (all are needed)"
        if self.depth < 1 or self.moves < 0:
            yield f"depth {self.depth} and {self.moves} moves (1 or more and 0 or more allowed)"

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        return self.folded.evaluate(inputs, ports)

    def control(self, ports: Ports) -> Control:
        return Control((Schedule((1,), takes=(Mark("i"),), gives=(Mark("o"),), depth=self.depth),))

    def affine(self, dtype: DataType) -> tuple[int, Integers]:
        """(f, g) with acc = f * y + g, y = weights @ b for the stored number b; g (MH,)."""
        zero = np.zeros((1, self.weights.shape[1]), dtype=np.int64)
        low, one = (self.folded.from_dot(dtype.decode(zero + bit) @ self.weights.T, dtype)[0] for bit in (0, 1))
        total = self.weights.sum(axis=1)
        factor = 2 if dtype.name == "BIPOLAR" and self.domain == "dot" else 1
        assert ((one - low) == factor * total).all()
        return factor, low

    def layer(self, ports: Ports, *, seconds: float = float("inf"), report: Callable[[float], None] = lambda done: None) -> Layer:
        """The netlist of y, or of a bit for each threshold in turn: bit r * T + t is acc[r] >= thresholds[r, t].

        One that was stopped after `seconds` is not the unit's own, and not kept.
        """
        dtype, bounds = ports["i"].dtype, None
        if self.thresholds is not None:
            factor, shift = self.affine(dtype)
            bounds = -((shift[:, None] - self.thresholds) // factor)  # divided and rounded up
        places = [1 << j for j in range(dtype.bits)]
        places[-1] *= -1 if dtype.signed else 1
        key = (
            self.weights.tobytes(),
            self.weights.shape,
            tuple(places),
            None if bounds is None else bounds.tobytes(),
            self.seed,
            self.moves,
        )
        if key not in _kept:
            weights = np.ascontiguousarray(self.weights.T)
            layer = weighted(weights, places, bounds, seed=self.seed, moves=self.moves, seconds=seconds, report=report)
            if layer.stopped:
                return layer
            while len(_kept) >= KEPT:
                del _kept[next(iter(_kept))]
            _kept[key] = layer
        return _kept[key]

    def stages(self, ports: Ports) -> Stages:
        """The netlist cut for `depth`."""
        return cut(self.layer(ports).netlist, self.depth)

    def parts(self, ports: Ports, target: str) -> Parts:
        return self.parts_of(ports, range(len(self.weights)))

    def parts_of(self, ports: Ports, rows: Sequence[int]) -> Parts:
        """Parts of a unit of which only these rows are read."""
        whole, stages = self.layer(ports).netlist, self.stages(ports)
        each = len(whole.outputs) // len(self.weights)
        netlist = cone(whole, [row * each + k for row in rows for k in range(each)])
        between = replace(stages, netlist=netlist).registers([net for word in netlist.outputs for net in word])
        luts = netlist.counts().luts
        wide = sum(isinstance(cell, Lut) and len(cell.inputs) > NARROW for cell in netlist.cells)
        logic = {"LUT_cell": luts} if self.primitives else {"netlist_LUT": luts - wide, "wide_netlist_LUT": wide}
        return control_parts(self.control(ports)) + amounts(between + len(rows) * ports["o"].dtype.bits, **logic)

    def component(self, ports: Ports) -> UnitComponent:
        return UnrolledMVAUComponent(self, ports)


KEPT = 32
_kept: dict[tuple[object, ...], Layer] = {}  # nodes are rebuilt by every change of a graph, and cost and component both ask


class UnrolledMVAUComponent(UnitComponent):
    """The netlist, with registers between its stages; what makes the output's code of its bits is in the last."""

    node: UnrolledMVAU

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        (seq,) = sequencers
        self.layer = self.node.layer(self.streams)
        netlist = self.layer.netlist
        payload = self.port("i").payload
        outputs = output_nets(netlist, self.layer.ranges, self.layer.one_bit)
        logic = NetlistLogic(
            m, "net", self.node.stages(self.streams), list(payload), outputs, enable=seq.move, primitives=self.node.primitives
        )  # fmt: skip
        results = self._codes(m, logic.output, len(outputs) // len(netlist.outputs))
        with m.If(seq.move):
            m.d.sync += self.port("o").payload.eq(Cat(*results))

    def _codes(self, m: Module, bits: Value, width: int) -> list[Signal]:
        """Stored output elements from the netlist's words, `width` bits each."""
        node, o = self.node, self.streams["o"]
        if node.thresholds is None:
            factor, shift = node.affine(self.streams["i"].dtype)
            signed = bool(self.layer.ranges[:, 0].min() < 0)
            words = [bits[r * width : (r + 1) * width] for r in range(len(shift))]
            totals = [(word.as_signed() if signed else word) * factor + int(g) for word, g in zip(words, shift, strict=True)]
        else:
            count = node.thresholds.shape[1]
            groups = [bits[r * count : (r + 1) * count] for r in range(len(node.thresholds))]
            totals = [sum((bit for bit in group[1:]), group[0]) + (0 if o.dtype.name == "BIPOLAR" else node.offset) for group in groups]
        results = [Signal(o.dtype.bits, name=f"result_{r}") for r in range(len(totals))]
        m.d.comb += [result.eq(total) for result, total in zip(results, totals, strict=True)]  # cut or extended by its own sign
        return results
