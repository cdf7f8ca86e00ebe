"""VVAU: vector-vector-activation unit, the depth-wise layer: each channel has weights of its own for the taps of its window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from arbonn.hw.address import address
from arbonn.hw.cost.control import control_parts
from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.datatypes import DataType, Integers
from arbonn.hw.graph import Ports
from arbonn.hw.parameters import Parametric, ParametricComponent, Table
from arbonn.hw.products import product_parts, products
from arbonn.hw.rom import pack_words
from arbonn.hw.schedule import carry_deltas
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
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.window import Windowed, running


@dataclass(frozen=True, eq=False)
class VVAU(Parametric, Windowed):
    """o[c] = levels(acc[c]), or acc[c] itself without thresholds; acc[c] = weights[c] . the window's taps of channel c.

    Parameters  weights (C, taps). thresholds (C, T), rising, or None. group: as the SWG's, 0 = all C.
    Streams     i: (..., taps * C) from an SWG.  o: (..., C). Equal lanes.
    domain      as MVAU's: "dot", or "popcount" for BIPOLAR weights.
    Timing      for C / group: for taps: for group / lanes: take i; give o in the last tap. II of i 1; no bubble between windows or frames.
                first_out = (taps - 1) * group / lanes + 2; interval = transfers of i.
    Stalls      a rigid pipeline of 2.
    Memory      weights: C / lanes * taps words of lanes weights; group / lanes accumulators of each lane; thresholds: C / lanes words.
    Run time    weights: word (g * taps + tap) * group / lanes + fold holds those of channels g * group + fold * lanes .., for that tap.
                thresholds: word c / lanes holds those of channels c .., rising. The first in the low bits.
    """

    weights: Integers
    weight_dtype: DataType
    domain: str = "popcount"
    thresholds: Integers | None = None
    offset: int = 0
    group: int = 0
    depth: int = 2

    @property
    def window(self) -> tuple[int, int, int]:
        return int(self.weights.shape[-1]), self.group, self.depth

    @property
    def rows(self) -> MVAU:
        """The arithmetic of each channel is that of a row of this MVAU."""
        return MVAU(self.id, self.weights, self.weight_dtype, self.domain, self.thresholds, self.offset, parameters=self.parameters)

    def problems(self, ports: Ports) -> Iterator[str]:
        i, o = ports["i"], ports["o"]
        if self.weights.ndim != 2 or len(self.weights) != o.shape[-1] or not self.weight_dtype.allows(self.weights):
            yield f"weights of shape {self.weights.shape}, not all {self.weight_dtype}, for {o.shape[-1]} channels"
            return
        yield from self.window_problems(ports)
        if self.domain not in ("dot", "popcount") or (self.domain == "popcount" and self.weight_dtype.name != "BIPOLAR"):
            yield f"domain {self.domain!r} with {self.weight_dtype} weights (popcount needs BIPOLAR ones)"
            return
        yield from self.parameter_problems()
        if self.depth != 2:
            yield f"depth {self.depth} (2 allowed)"
        if self.thresholds is not None:
            yield from level_problems(self.thresholds, len(self.weights), self.offset, o.dtype)
        else:
            low, high = self.rows.accumulator_range(i.dtype.low, i.dtype.high, i.dtype)
            if o.dtype.name == "BIPOLAR" or low.min() < o.dtype.low or high.max() > o.dtype.high:
                yield f"accumulators {low.min()} .. {high.max()} in {o.dtype}"

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        taps, o = self.taps_of(inputs["i"], ports), ports["o"]
        by_tap = self.weights.reshape(taps.shape[2], -1, taps.shape[3]).swapaxes(1, 2)  # (C / group, taps, group)
        dot = (taps * by_tap).sum(axis=3).reshape(-1, *o.shape)
        acc = self.rows.from_dot(dot, ports["i"].dtype)
        return {"o": acc if self.thresholds is None else levels(acc, self.thresholds, self.offset, o.dtype)}

    def tables(self, ports: Ports) -> dict[str, Table]:
        i, o = ports["i"], ports["o"]
        folds = o.shape[-1] // o.lanes
        found = {"weights": Table(folds * self.window[0], o.lanes * self.weight_dtype.bits)}
        if self.thresholds is not None:
            found["thresholds"] = threshold_table(folds, o.lanes, self.thresholds.shape[1], self.rows.threshold_limits(i.dtype))
        return found

    def words(self, ports: Ports) -> dict[str, list[int]]:
        o, (groups, taps, folds) = ports["o"], self.bounds(ports)
        codes = self.weight_dtype.encode(self.weights).reshape(groups, folds, o.lanes, taps).transpose(0, 3, 1, 2).reshape(-1, o.lanes)
        found = {"weights": pack_words(codes, self.weight_dtype.bits)}
        if self.thresholds is not None:
            found["thresholds"] = threshold_words(self.thresholds, groups * folds, self.rows.threshold_limits(ports["i"].dtype))
        return found

    def parts(self, ports: Ports, target: str) -> Parts:
        i, o, (groups, taps, folds) = ports["i"], ports["o"], self.bounds(ports)
        bits = amaranth_shape(*self.rows.sums_range(i.dtype)).width
        step = (groups * taps * folds - 1).bit_length()
        found = control_parts(self.control(ports)) + self.tables_parts(ports, target) + self.kept_parts(bits, ports, target)
        found += product_parts(1, i.dtype, self.weight_dtype, self.domain)[0] * o.lanes
        found += amounts(step + i.width + o.width + 2, index=step, accumulator=o.lanes * bits)
        if self.thresholds is None:
            return found
        fold = (groups * folds - 1).bit_length()
        compared = threshold_parts(self.thresholds, o.lanes, bits, self.writable)
        return found + amounts(fold, address=fold) + compared

    def component(self, ports: Ports) -> UnitComponent:
        return VVAUComponent(self, ports)


class VVAUComponent(ParametricComponent):
    """Stages: (1) taps, weights and thresholds fetched, (2) multiplied, accumulated and compared."""

    node: VVAU

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        (seq,) = sequencers
        node, i, o = self.node, self.streams["i"], self.streams["o"]
        bounds = groups, taps, folds = node.bounds(self.streams)
        weight_bits = node.weight_dtype.bits

        step = Signal(range(groups * taps * folds))
        with m.If(seq.fire):
            m.d.sync += step.eq(Mux(seq.wrap, 0, step + 1))
        weights = self.table(m, "weights", step, seq.move)
        fired, first = Signal(), Signal()
        fetched = [Signal(i.dtype.bits, name=f"fetched_{lane}") for lane in range(o.lanes)]
        with m.If(seq.move):
            m.d.sync += [fired.eq(seq.fire), first.eq(seq.index[1] == 0), Cat(*fetched).eq(self.port("i").payload)]

        low, high = node.rows.sums_range(i.dtype)
        taps_of_lanes = []
        for lane, x in enumerate(fetched):
            weight = weights[lane * weight_bits : (lane + 1) * weight_bits]
            term = products([(x, weight)], i.dtype, node.weight_dtype, node.domain)
            acc = Signal(amaranth_shape(low, high), name=f"acc_{lane}")
            taps_of_lanes.append((term, acc + term, acc))
        totals = running(m, first, taps_of_lanes, folds, seq.move & fired)  # a bubble must not accumulate
        results: list[Value] = list(totals)
        if node.thresholds is not None:
            fold = address(m, "fold", seq, list(carry_deltas(bounds, (folds, 0, 1))), groups * folds)
            rows = threshold_values(self.table(m, "thresholds", fold, seq.move), o.lanes, (low, high + 1))
            results = [count_reached(total, row, node.offset, o.dtype) for total, row in zip(totals, rows, strict=True)]
        payload = [Signal(o.dtype.bits, name=f"result_{lane}") for lane in range(o.lanes)]
        m.d.comb += [signal.eq(result) for signal, result in zip(payload, results, strict=True)]
        with m.If(seq.move):
            m.d.sync += self.port("o").payload.eq(Cat(*payload))
