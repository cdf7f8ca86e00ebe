"""SparseMVAU: a folded layer whose weights have two values, the rarer one stored as a list of connections: it costs what these cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib.memory import Memory, ReadPort

from arbonn.hw.connections import Affine, Connections
from arbonn.hw.cost.control import control_parts
from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.cost.memory import memory_parts
from arbonn.hw.datatypes import DataType, Integers, smallest
from arbonn.hw.graph import UNSAVED_DEFAULT, Node, Ports
from arbonn.hw.parameters import Table
from arbonn.hw.popcount import popcount
from arbonn.hw.products import number, tree_sum
from arbonn.hw.rom import pack_words, rom
from arbonn.hw.schedule import Add, Control, Mark, Need, Schedule, at, last
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent
from arbonn.hw.units.levels import amaranth_shape, count_reached, threshold_parts, threshold_table, threshold_values, threshold_words
from arbonn.hw.units.mvau import MVAU


@dataclass(frozen=True, eq=False)
class SparseMVAU(Node):
    """o[r] = levels(acc[r]), or acc[r] itself without thresholds: an MVAU's values, for weights of at most two values.

    Added are the inputs of a row's connections (`arbonn.hw.connections`) and, where the commoner value is not 0, the sum of all inputs,
    which is one for all rows.

    Parameters  weights (MH, MW) of at most two values; weight_dtype, domain, thresholds and offset as an MVAU's.
                parallel: connections of a row in a step. blocks: tables that have to be in block RAM, as `Parametric` has them.
    Streams     i: (..., MW), SIMD = its lanes.  o: (..., MH), PE = its lanes.  NF = MH / PE, SF = MW / SIMD,
                K = connections of the fullest row / parallel, rounded up, at least 1.
    Timing      writer: for sf < SF: take i, while one of two vectors is free. reader: once a vector is there, for nf < NF: for k < K: step;
                give o if k = K - 1. first_out = SF + K - 1 + depth; interval = vectors * max(SF, NF * K); II of o = K.
    Stalls      the reader is a rigid pipeline of 3; i waits only while two vectors are held.
    Memory      input: 2 * SF words, read by PE * parallel ports (a copy each). connections: NF * K words of PE * parallel places in a
                vector (and a bit for those that a shorter row lacks). thresholds, or what rows add to their sums: NF words.
    """

    weights: Integers
    weight_dtype: DataType
    domain: str = "popcount"
    thresholds: Integers | None = None
    offset: int = 0
    parallel: int = 1
    depth: int = 3
    blocks: tuple[str, ...] = field(default=(), kw_only=True, metadata=UNSAVED_DEFAULT)

    @cached_property
    def folded(self) -> MVAU:
        """The MVAU of the same values."""
        return MVAU(self.id, self.weights, self.weight_dtype, self.domain, self.thresholds, self.offset)

    @cached_property
    def lists(self) -> Connections:
        """The connections of all rows."""
        return Connections(self.weights)

    def folds(self, ports: Ports) -> tuple[int, int, int]:
        """(NF, K, SF)."""
        steps = max(1, -(-self.lists.fullest // self.parallel))
        return len(self.weights) // ports["o"].lanes, steps, self.weights.shape[1] // ports["i"].lanes

    def knobs(self, ports: Ports) -> dict[str, tuple[str, int]]:
        return self.folded.knobs(ports)

    def problems(self, ports: Ports) -> Iterator[str]:
        if len(np.unique(self.weights)) > 2:
            yield f"weights of {len(np.unique(self.weights))} values (at most 2 allowed)"
            return
        yield from self.folded.problems(ports)
        if self.parallel < 1 or self.depth != 3:
            yield f"{self.parallel} connections a step and depth {self.depth} (1 or more and 3 allowed)"

    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        return self.folded.evaluate(inputs, ports)

    def control(self, ports: Ports) -> Control:
        nf, k, sf = self.folds(ports)
        here, there = (nf, k), (sf,)
        free = Need("held", -1, (0,), -1, at(there, 0, 0))
        writer = Schedule(there, takes=(Mark("i"),), needs=(free,), adds=(Add("held", (0, 1)),))
        full = Need("held", 1, (0, 0), 1, (*at(here, 0, 0), *at(here, 1, 0)))
        gives = (Mark("o", last(here, 1)),)
        reader = Schedule(here, gives=gives, needs=(full,), adds=(Add("held", (0, 0, -1)),), depth=self.depth)
        return Control((writer, reader), {"held": 0})

    def affine(self, dtype: DataType) -> Affine:
        """Accumulators from sums of codes."""
        return self.lists.affine(dtype, self.folded.from_dot)

    def sums_range(self, dtype: DataType) -> tuple[int, int]:
        """Range of y and of all that is added up to it."""
        return self.lists.sums_range(self.affine(dtype), dtype)

    def threshold_limits(self, dtype: DataType) -> tuple[int, int]:
        """Least and greatest bound that hardware holds for y: the greatest is one that no sum reaches."""
        low, high = self.sums_range(dtype)
        return low, high + 1

    def places(self, ports: Ports) -> tuple[int, int, int]:
        """Bits of a connection: its word of the vector, its lane, and whether it is one (no bit where every step's are)."""
        _, k, sf = self.folds(ports)
        padded = self.lists.count < len(self.weights) * k * self.parallel
        return (sf - 1).bit_length(), (ports["i"].lanes - 1).bit_length(), int(padded)

    def tables(self, ports: Ports) -> dict[str, Table]:
        """The constant memories by name."""
        nf, k, _ = self.folds(ports)
        o, dtype = ports["o"], ports["i"].dtype
        found = {"connections": Table(nf * k, o.lanes * self.parallel * sum(self.places(ports)))}
        if self.thresholds is not None:
            found["thresholds"] = threshold_table(nf, o.lanes, self.thresholds.shape[1], self.threshold_limits(dtype))
        else:
            found["shifts"] = Table(nf, o.lanes * self.shift_bits(dtype))
        return found

    def shift_bits(self, dtype: DataType) -> int:
        """Bits of what a row adds to f * y."""
        shifts = self.affine(dtype)[3]
        return smallest(int(shifts.min()), int(shifts.max())).bits

    def words(self, ports: Ports) -> dict[str, list[int]]:
        """What each of `tables` holds, from address 0 on."""
        nf, k, _ = self.folds(ports)
        i, o = ports["i"], ports["o"]
        bits = self.places(ports)
        codes = self.lists.places(i.lanes, k * self.parallel, bits)
        laid = codes.reshape(nf, o.lanes, k, self.parallel).transpose(0, 2, 1, 3).reshape(nf * k, -1)
        found = {"connections": pack_words(laid, sum(bits))}
        _, _, factor, shifts = self.affine(i.dtype)
        if self.thresholds is not None:
            bounds = -((shifts[:, None] - self.thresholds) // factor)  # divided and rounded up
            found["thresholds"] = threshold_words(bounds, nf, self.threshold_limits(i.dtype))
        else:
            wide = self.shift_bits(i.dtype)
            found["shifts"] = pack_words(shifts.reshape(nf, -1) & ((1 << wide) - 1), wide)
        return found

    def parts(self, ports: Ports, target: str) -> Parts:
        nf, k, sf = self.folds(ports)
        i, o, lanes = ports["i"], ports["o"], ports["o"].lanes * self.parallel
        bits, element = amaranth_shape(*self.sums_range(i.dtype)).width, i.dtype.bits
        _, lane_bits, flag = self.places(ports)
        word, step, fold = (2 * sf - 1).bit_length(), (nf * k - 1).bit_length(), (nf - 1).bit_length()
        found = control_parts(self.control(ports)) + amounts(2 + 4 + step + fold + o.width, index=step, adder=word)
        each = amounts(max(1, lane_bits + flag), adder=word, multiplexer=(i.lanes - 1) * element, padding=flag * element)
        found += (each + memory_parts(2 * sf, i.width, target, "old")) * lanes
        sums = element + (self.parallel - 1).bit_length()
        found += amounts(sums + bits, adder=(self.parallel - 1) * sums, accumulator=bits) * o.lanes
        if self.affine(i.dtype)[1]:  # the sum of all inputs
            found += amounts(4 * bits, adder=i.lanes * element + o.lanes * bits, accumulator=bits)
        contents = self.words(ports)
        for name, (depth, width) in self.tables(ports).items():
            found += memory_parts(depth, width, target, "table", contents[name], name in self.blocks)
        if self.thresholds is None:
            return found + amounts(0, adder=o.width)
        return found + threshold_parts(self.thresholds, o.lanes, bits, writable=False)

    def component(self, ports: Ports) -> UnitComponent:
        return SparseMVAUComponent(self, ports)


class SparseMVAUComponent(UnitComponent):
    """Stages: (1) connected words fetched, (2) their elements chosen and added, (3) accumulated and compared.

    A step's connections are read from their table while the step before it fires. The first step's word takes a cycle to come, and so does
    at least the first vector.
    """

    node: SparseMVAU

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        writer, reader = sequencers
        node, i, o = self.node, self.streams["i"], self.streams["o"]
        nf, k, sf = node.folds(self.streams)
        a, b, factor, _ = node.affine(i.dtype)
        move = reader.move
        filled, emptied = Signal(), Signal()  # the half that is written, the half that is read
        with m.If(writer.fire & writer.wrap):
            m.d.sync += filled.eq(~filled)
        with m.If(reader.fire & reader.wrap):
            m.d.sync += emptied.eq(~emptied)
        into = Signal(range(2 * sf))
        m.d.comb += into.eq(writer.index[0] + Mux(filled, sf, 0))

        step, ahead = Signal(range(nf * k)), Signal(range(nf * k))
        m.d.comb += ahead.eq(Mux(reader.fire, Mux(reader.wrap, 0, step + 1), step))
        m.d.sync += step.eq(ahead)
        connections = self._read(m, "connections", ahead, Const(1))

        fired, first = Signal(2), Signal(2)
        with m.If(move):
            m.d.sync += [fired.eq(Cat(reader.fire, fired)), first.eq(Cat(reader.index[1] == 0, first))]
        everything = self._sum_of_all(m, writer, reader, filled, emptied) if b else None

        low, high = node.sums_range(i.dtype)
        shape = amaranth_shape(low, high)
        width, totals = sum(node.places(self.streams)), []
        for pe in range(o.lanes):
            terms = []
            for lane in range(node.parallel):
                at_bit = (pe * node.parallel + lane) * width
                read = self._buffer(m, f"{pe}_{lane}", into, writer.fire)
                terms.append(self._element(m, f"{pe}_{lane}", read, connections[at_bit : at_bit + width], emptied, move))
            term = popcount([t[0] for t in terms]) if i.dtype.bits == 1 else tree_sum(terms)
            partial, acc, total = (
                Signal(term.shape(), name=f"partial_{pe}"),
                Signal(shape, name=f"acc_{pe}"),
                Signal(shape, name=f"total_{pe}"),
            )
            m.d.comb += total.eq(partial + Mux(first[1], 0, acc))
            with m.If(move):
                m.d.sync += partial.eq(term)
            with m.If(move & fired[1]):  # a bubble must not accumulate
                m.d.sync += acc.eq(total)
            y = Signal(shape, name=f"y_{pe}")
            m.d.comb += y.eq(a * total if everything is None else a * total + b * everything)
            totals.append(y)

        fold = Signal(range(nf))
        with m.If(move):
            m.d.sync += fold.eq(reader.index[0])
        results: list[Value]
        if node.thresholds is not None:
            rows = threshold_values(self._read(m, "thresholds", fold, move), o.lanes, node.threshold_limits(i.dtype))
            results = [count_reached(y, row, node.offset, o.dtype) for y, row in zip(totals, rows, strict=True)]
        else:
            bits = node.shift_bits(i.dtype)
            word = self._read(m, "shifts", fold, move)
            signed = bool((node.affine(i.dtype)[3] < 0).any())
            shifts = [word[pe * bits : (pe + 1) * bits] for pe in range(o.lanes)]
            results = [factor * y + (s.as_signed() if signed else s) for y, s in zip(totals, shifts, strict=True)]
        payload = [Signal(o.dtype.bits, name=f"result_{pe}") for pe in range(o.lanes)]
        m.d.comb += [signal.eq(result) for signal, result in zip(payload, results, strict=True)]  # cut or extended by its own sign
        with m.If(move):
            m.d.sync += self.port("o").payload.eq(Cat(*payload))

    def _read(self, m: Module, table: str, address: Value, enable: Value) -> Value:
        """The word of a table one clock later."""
        words, width = self.node.words(self.streams)[table], self.node.tables(self.streams)[table].width
        return rom(m, table, words, width, address, enable, block=table in self.node.blocks)

    def _buffer(self, m: Module, name: str, address: Value, enable: Value) -> ReadPort:
        """A copy of the two vectors, for one reader: a memory of many read ports is more than yosys can map."""
        sf = self.node.folds(self.streams)[2]
        m.submodules[f"buffer_{name}"] = buffer = Memory(shape=unsigned(self.streams["i"].width), depth=2 * sf, init=[])
        write = buffer.write_port()
        m.d.comb += [write.addr.eq(address), write.data.eq(self.port("i").payload), write.en.eq(enable)]
        return buffer.read_port()

    def _element(self, m: Module, name: str, read: ReadPort, place: Value, half: Value, move: Value) -> Value:
        """The number (of a BIPOLAR the bit) of one connection, in the cycle after `move`; 0 for one that is none."""
        i = self.streams["i"]
        word_bits, lane_bits, flag = self.node.places(self.streams)
        sf, bits = self.node.folds(self.streams)[2], i.dtype.bits
        m.d.comb += [read.addr.eq(place[:word_bits] + Mux(half, sf, 0)), read.en.eq(move)]
        kept = Signal(max(1, lane_bits + flag), name=f"place_{name}")
        with m.If(move):
            m.d.sync += kept.eq(place[word_bits:])
        element = read.data.word_select(kept[:lane_bits], bits) if lane_bits else read.data[:bits]
        code = Mux(kept[lane_bits], element, 0) if flag else element
        chosen = Signal(bits, name=f"element_{name}")
        m.d.comb += chosen.eq(code)
        return chosen if bits == 1 and not i.dtype.signed else number(chosen, i.dtype)

    def _sum_of_all(self, m: Module, writer: Sequencer, reader: Sequencer, filled: Value, emptied: Value) -> Value:
        """The sum of the vector that a step reads, two stages behind it."""
        i = self.streams["i"]
        bits, payload = i.dtype.bits, self.port("i").payload
        codes = [payload[k * bits : (k + 1) * bits] for k in range(i.lanes)]
        term = popcount([c[0] for c in codes]) if i.dtype.name in ("BIPOLAR", "BINARY") else tree_sum([number(c, i.dtype) for c in codes])
        least, most = (0, 1) if i.dtype.name == "BIPOLAR" else (i.dtype.low, i.dtype.high)
        shape = amaranth_shape(min(0, least) * i.shape[-1], max(0, most) * i.shape[-1])
        so_far, with_this = Signal(shape), Signal(shape)
        halves = [Signal(shape, name=f"all_{half}") for half in range(2)]
        m.d.comb += with_this.eq(term + Mux(writer.index[0] == 0, 0, so_far))
        with m.If(writer.fire):
            m.d.sync += so_far.eq(with_this)
            with m.If(writer.wrap):
                m.d.sync += [half.eq(Mux(filled == k, with_this, half)) for k, half in enumerate(halves)]
        stages = [Signal(shape, name=f"all_stage_{stage}") for stage in (1, 2)]
        with m.If(reader.move):
            m.d.sync += [stages[0].eq(Mux(emptied, halves[1], halves[0])), stages[1].eq(stages[0])]
        return stages[1]
