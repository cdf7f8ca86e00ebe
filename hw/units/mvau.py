"""MVAU: matrix-vector-activation unit, the binary (or few-bit) fully connected layer, folded by PE and SIMD."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib.memory import Memory

from arbonn.hw.cmvm.stages import cut
from arbonn.hw.cost.control import control_parts
from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.cost.memory import memory_parts
from arbonn.hw.datatypes import DataType, Integers
from arbonn.hw.graph import UNSAVED_DEFAULT, Ports
from arbonn.hw.netlist_logic import NetlistLogic
from arbonn.hw.parameters import Parametric, ParametricComponent, Table
from arbonn.hw.popcount import LUT_INPUTS
from arbonn.hw.products import product_parts, products, tree_sum
from arbonn.hw.rom import pack_words
from arbonn.hw.schedule import Control, Mark, Schedule, at, last
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent
from arbonn.hw.units.levels import (
    amaranth_shape,
    count_reached,
    level_problems,
    levels,
    threshold_parts,
    threshold_table,
    threshold_values,
    threshold_words,
)
from arbonn.hw.xnor_popcount import xnor_popcount

DEPTHS = range(3, 17)  # fetch, popcount, accumulate + threshold; 4: threshold in a stage of its own; more: more stages of popcount


@dataclass(frozen=True, eq=False)
class MVAU(Parametric):
    """o[r] = levels(acc[r]), or acc[r] itself without thresholds.

    Parameters  weights (MH, MW). thresholds (MH, T), rising, or None.
                depth: pipeline stages, 3 .. 16. From 4 on thresholds are compared in a stage of their own; d > 4 cuts the sum of a
                transfer's products into d - 3 stages.
                lut_inputs: 4, or 6 for sums of which 7-series and UltraScale+ take fewer LUTs, and the others more (`arbonn.hw.popcount`).
                primitives: these sums as LUTs and carry chains of 7-series and UltraScale+ (`arbonn.hw.xnor_popcount`), domain "popcount".
    Streams     i: (..., MW), SIMD = its lanes.  o: (..., MH), PE = its lanes.  NF = MH / PE, SF = MW / SIMD.
    domain      "dot": acc = w . x.  "popcount" (BIPOLAR weights): acc = sum_j 2^j popcount(XNOR(x_j, w)) over the bit planes x_j of the
                stored x (of x + 2^(k-1) for INTk). So dot = 2 acc - MW for BIPOLAR x, and dot + a constant a row for the others.
    Timing      for nf < NF: for sf < SF: take i if nf = 0; give o if sf = SF - 1. first_out = SF - 1 + depth;
                interval = NF * SF; II of o = SF.
                The next frame's first fold is read from its stream while the last fold of this one ends: no bubble.
    Stalls      a rigid pipeline: all of it waits while o is not taken. i waits while later folds run (the buffer holds one vector).
    Memory      weights: NF * SF words of PE * SIMD * bits; input buffer: SF words (if NF > 1); thresholds: NF words.
    Run time    weights: word nf * SF + sf holds rows nf * PE .., columns sf * SIMD .., column fastest, the first in the low bits.
                thresholds: word nf holds those of rows nf * PE .., rising, the first in the low bits. Any weights of the type may come.
    """

    weights: Integers
    weight_dtype: DataType
    domain: str = "popcount"
    thresholds: Integers | None = None
    offset: int = 0
    depth: int = DEPTHS[0]
    primitives: bool = field(default=False, kw_only=True, metadata=UNSAVED_DEFAULT)
    lut_inputs: int = field(default=4, kw_only=True, metadata=UNSAVED_DEFAULT)

    @property
    def rows(self) -> int:
        """MH: neurons."""
        return int(self.weights.shape[0])

    @property
    def columns(self) -> int:
        """MW: inputs of a neuron."""
        return int(self.weights.shape[1])

    def knobs(self, ports: Ports) -> dict[str, tuple[str, int]]:
        return {"i": ("SIMD", self.columns), "o": ("PE", self.rows)}

    def folds(self, ports: Ports) -> tuple[int, int]:
        """(NF, SF)."""
        return self.rows // ports["o"].lanes, self.columns // ports["i"].lanes

    def problems(self, ports: Ports) -> Iterator[str]:
        i, o = ports["i"], ports["o"]
        if self.weights.ndim != 2 or not self.weight_dtype.allows(self.weights):
            yield f"weights of shape {self.weights.shape} that are not all {self.weight_dtype}"
            return
        if i.shape[-1] != self.columns or o.shape[-1] != self.rows or i.shape[:-1] != o.shape[:-1]:
            yield f"i {i.shape} and o {o.shape} for weights {self.weights.shape}"
            return
        if self.domain not in ("dot", "popcount") or (self.domain == "popcount" and self.weight_dtype.name != "BIPOLAR"):
            yield f"domain {self.domain!r} with {self.weight_dtype} weights (popcount needs BIPOLAR ones)"
            return
        yield from self.parameter_problems()
        if self.depth not in DEPTHS:
            yield f"depth {self.depth} ({DEPTHS[0]} .. {DEPTHS[-1]} allowed)"
        if self.lut_inputs not in LUT_INPUTS:
            yield f"sums for LUTs of {self.lut_inputs} inputs ({' and '.join(map(str, LUT_INPUTS))} allowed)"
        if self.primitives and self.domain != "popcount":
            yield f"primitives in the domain {self.domain!r} (popcount allowed)"
        if self.thresholds is not None:
            yield from level_problems(self.thresholds, self.rows, self.offset, o.dtype)
        else:
            low, high = self.accumulator_range(i.dtype.low, i.dtype.high, i.dtype)
            if low.min() < o.dtype.low or high.max() > o.dtype.high:
                yield f"accumulators {low.min()} .. {high.max()} in {o.dtype}"

    def to_dot(self, acc: Integers, dtype: DataType) -> Integers:
        """Accumulators (..., MH) to dot products, for inputs of `dtype`."""
        factor, shift = self._affine(dtype)
        return factor * acc - shift

    def from_dot(self, dot: Integers, dtype: DataType) -> Integers:
        """The inverse of `to_dot`."""
        factor, shift = self._affine(dtype)
        return (dot + shift) // factor

    def _affine(self, dtype: DataType) -> tuple[int, Integers | int]:
        """(f, s) with dot = f * acc - s; s is an integer, or one a row (MH,)."""
        if self.domain == "dot":
            return 1, 0
        if dtype.name == "BIPOLAR":
            return 2, self.columns
        negative = (self.weights < 0).sum(axis=1)
        return 1, ((1 << dtype.bits) - 1) * negative + (self.weights.sum(axis=1) << (dtype.bits - 1) if dtype.signed else 0)

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        acc = self.from_dot(inputs["i"] @ self.weights.T, ports["i"].dtype)
        return {"o": acc if self.thresholds is None else levels(acc, self.thresholds, self.offset, ports["o"].dtype)}

    def accumulator_range(self, low: int, high: int, dtype: DataType) -> tuple[Integers, Integers]:
        """Least and greatest accumulator of each row, (MH,) each, for inputs of `dtype` that lie in low .. high."""
        positive, negative = self.weights.clip(0, None).sum(axis=1), self.weights.clip(None, 0).sum(axis=1)
        least, most = positive * low + negative * high, positive * high + negative * low
        return self.from_dot(least, dtype), self.from_dot(most, dtype)

    def control(self, ports: Ports) -> Control:
        bounds = self.folds(ports)
        return Control((Schedule(bounds, takes=(Mark("i", at(bounds, 0, 0)),), gives=(Mark("o", last(bounds, 1)),), depth=self.depth),))

    def sums_range(self, dtype: DataType) -> tuple[int, int]:
        """Range of the accumulator register, partial sums included; of a run-time unit, for any weights of the type."""
        if self.domain == "popcount":
            return 0, self.columns * ((1 << dtype.bits) - 1)
        if self.writable:
            ends = [w * x for w in (self.weight_dtype.low, self.weight_dtype.high) for x in (dtype.low, dtype.high)]
            return self.columns * min(0, *ends), self.columns * max(0, *ends)
        products = np.stack([self.weights * dtype.low, self.weights * dtype.high])
        return int(products.min(axis=0).clip(None, 0).sum(axis=1).min()), int(products.max(axis=0).clip(0, None).sum(axis=1).max())

    def tables(self, ports: Ports) -> dict[str, Table]:
        (nf, sf), i, o = self.folds(ports), ports["i"], ports["o"]
        found = {"weights": Table(nf * sf, o.lanes * i.lanes * self.weight_dtype.bits)}
        if self.thresholds is not None:
            found["thresholds"] = threshold_table(nf, o.lanes, self.thresholds.shape[1], self.threshold_limits(i.dtype))
        return found

    def words(self, ports: Ports) -> dict[str, list[int]]:
        (nf, sf), i, o = self.folds(ports), ports["i"], ports["o"]
        codes = self.weight_dtype.encode(self.weights).reshape(nf, o.lanes, sf, i.lanes).transpose(0, 2, 1, 3).reshape(nf * sf, -1)
        found = {"weights": pack_words(codes, self.weight_dtype.bits)}
        if self.thresholds is not None:
            found["thresholds"] = threshold_words(self.thresholds, nf, self.threshold_limits(i.dtype))
        return found

    def threshold_limits(self, dtype: DataType) -> tuple[int, int]:
        """Least and greatest threshold that hardware holds: the greatest is one that no accumulator reaches."""
        low, high = self.sums_range(dtype)
        return low, high + 1

    def parts(self, ports: Ports, target: str) -> Parts:
        (nf, sf), i, o = self.folds(ports), ports["i"], ports["o"]
        bits = amaranth_shape(*self.sums_range(i.dtype)).width
        more = max(0, self.depth - 4)
        fixed = nf * sf == 1 and not self.writable
        term, width = product_parts(
            i.lanes, i.dtype, self.weight_dtype, self.domain,
            stages=more, fixed=fixed, primitives=self.primitives, lut_inputs=self.lut_inputs,
        )  # fmt: skip
        address = (nf * sf - 1).bit_length()
        found = control_parts(self.control(ports)) + self.tables_parts(ports, target) + term * o.lanes
        found += amounts(i.width + address + 2 * (2 + more) + o.lanes * (width + bits) + o.width, index=address, accumulator=o.lanes * bits)
        if nf > 1 and sf > 1:
            found += memory_parts(sf, i.width, target, "same") + amounts(1, multiplexer=i.width)
        if self.thresholds is None:
            return found
        compared = threshold_parts(self.thresholds, o.lanes, bits, self.writable)
        return found + compared + amounts((self.depth - 2) * (nf - 1).bit_length())

    def component(self, ports: Ports) -> UnitComponent:
        return MVAUComponent(self, ports)


class MVAUComponent(ParametricComponent):
    """Stages: (1) input and weights fetched, (2) PE popcounts, in more than one from depth 5 on, (3) accumulated and compared.

    From depth 4 on they are compared in a stage behind the accumulators.
    """

    node: MVAU

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        (seq,) = sequencers
        node, i, o = self.node, self.streams["i"], self.streams["o"]
        nf, sf = node.folds(self.streams)
        move = seq.move
        x = self._input(m, seq, nf, sf)

        address = Signal(range(nf * sf))
        with m.If(seq.fire):
            m.d.sync += address.eq(Mux(seq.wrap, 0, address + 1))
        word_bits = i.lanes * node.weight_dtype.bits
        weights = self.table(m, "weights", address, move)

        # Marks of the steps in stages 1, 2 and what is more of the popcount: does it exist, is it its row's first.
        more = max(0, node.depth - 4)
        fired, first = Signal(2 + more), Signal(2 + more)
        with m.If(move):
            m.d.sync += [fired.eq(Cat(seq.fire, fired)), first.eq(Cat(seq.index[1] == 0, first))]

        low, high = node.sums_range(i.dtype)
        shape = amaranth_shape(low, high)
        totals = []
        for pe in range(o.lanes):
            term = self._products(m, x, weights[pe * word_bits : (pe + 1) * word_bits], move, more, pe)
            partial, acc, total = (
                Signal(term.shape(), name=f"partial_{pe}"),
                Signal(shape, name=f"acc_{pe}"),
                Signal(shape, name=f"total_{pe}"),
            )
            m.d.comb += total.eq(partial + Mux(first[-1], 0, acc))
            with m.If(move):
                m.d.sync += partial.eq(term)
            with m.If(move & fired[-1]):  # a bubble must not accumulate
                m.d.sync += acc.eq(total)
            totals.append(total if node.depth == 3 else acc)
        self._output(m, seq, totals)

    def _input(self, m: Module, seq: Sequencer, nf: int, sf: int) -> Value:
        """Stage 1's input: straight from the stream in the first fold, which also fills the buffer that the later folds read."""
        stream = self.port("i")
        straight = Signal(len(stream.payload))
        with m.If(seq.move):
            m.d.sync += straight.eq(stream.payload)
        if nf == 1:
            return straight
        if sf == 1:  # one word: the register itself is the buffer
            held = Signal(len(stream.payload))
            with m.If(seq.fire & seq.now["i"]):
                m.d.sync += held.eq(stream.payload)
            return held
        m.submodules.buffer = memory = Memory(shape=unsigned(len(stream.payload)), depth=sf, init=[])
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [write.addr.eq(seq.index[1]), write.data.eq(stream.payload), write.en.eq(seq.fire & seq.now["i"])]
        m.d.comb += [read.addr.eq(seq.index[1]), read.en.eq(seq.move)]
        bypass = Signal()
        with m.If(seq.move):
            m.d.sync += bypass.eq(seq.now["i"])
        return Mux(bypass, straight, read.data)

    def _products(self, m: Module, x: Value, weights: Value, move: Value, more: int, pe: int) -> Value:
        """One transfer's contribution to one row's accumulator, `more` clocks later."""
        i, node = self.streams["i"], self.node
        bits, weight_bits = i.dtype.bits, node.weight_dtype.bits
        lanes = [(x[k * bits : (k + 1) * bits], weights[k * weight_bits : (k + 1) * weight_bits]) for k in range(i.lanes)]
        if not node.primitives:
            return products(lanes, i.dtype, node.weight_dtype, node.domain, (m, move, more), node.lut_inputs)
        planes = []
        for j in range(bits):
            netlist = xnor_popcount(i.lanes, xor=i.dtype.signed and j == bits - 1)
            pairs = [value for a, w in lanes for value in (a[j], w)]
            name, stages = f"row_{pe}_plane_{j}", cut(netlist, 1 + more)
            planes.append(NetlistLogic(m, name, stages, pairs, netlist.outputs[0], enable=move, primitives=True).output << j)
        return tree_sum(planes)

    def _output(self, m: Module, seq: Sequencer, totals: list[Value]) -> None:
        node, o = self.node, self.streams["o"]
        results = totals
        if node.thresholds is not None:
            fold: Value = seq.index[0]  # the thresholds of row nf are read one stage before they are compared
            for stage in range(node.depth - 2):
                later = Signal(fold.shape(), name=f"fold_{stage}")
                with m.If(seq.move):
                    m.d.sync += later.eq(fold)
                fold = later
            word = self.table(m, "thresholds", fold, seq.move)
            rows = threshold_values(word, o.lanes, node.threshold_limits(self.streams["i"].dtype))
            results = [count_reached(total, row, node.offset, o.dtype) for total, row in zip(totals, rows, strict=True)]
        payload = []
        for pe, result in enumerate(results):
            payload.append(Signal(o.dtype.bits, name=f"result_{pe}"))
            m.d.comb += payload[-1].eq(result)  # cut or extended by its own sign
        with m.If(seq.move):
            m.d.sync += self.port("o").payload.eq(Cat(*payload))
