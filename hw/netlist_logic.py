"""A netlist of `arbonn.hw.cmvm` inside a datapath: as cells of 7-series and UltraScale+, or as logic for any device; cut by registers."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Instance, Module, Signal, Value

from arbonn.hw.cmvm.netlist import ONE, Chain, Lut
from arbonn.hw.cmvm.stages import Stages


class NetlistLogic:
    """The netlist that `stages` cut, written into `m`; registers between its stages move when `enable` is high.

    output  the nets `outputs`, the first in the low bit, `stages.depth - 1` clocks after the inputs.
    """

    def __init__(
        self, m: Module, name: str, stages: Stages, inputs: Sequence[Value], outputs: Sequence[int], *, enable: Value, primitives: bool
    ) -> None:  # fmt: skip
        self.m, self.name, self.stages, self.primitives = m, name, stages, primitives
        self.kept: dict[tuple[int, int], Value] = {(2 + k, 1): value for k, value in enumerate(inputs)}
        for cell in stages.netlist.cells:
            for net in (*cell.outs, *(() if isinstance(cell, Lut) else cell.sides)):
                self.kept[net, stages.birth[net]] = Signal(name=f"{name}_n{net}")
        self._registers(outputs, enable)
        for number, cell in enumerate(stages.netlist.cells):
            if isinstance(cell, Lut):
                self._lut(number, cell)
            else:
                self._chain(number, cell)
        self.output: Value = Cat(*(self._at(net, stages.depth) for net in outputs))

    def _registers(self, outputs: Sequence[int], enable: Value) -> None:
        """What later stages read, in one register for each stage: of thousands of single ones simulators compile for minutes."""
        with self.m.If(enable):
            for stage, nets in enumerate(self.stages.carried(outputs), 1):
                if nets:
                    register = Signal(len(nets), name=f"{self.name}_stage_{stage}")
                    self.m.d.sync += register.eq(Cat(*(self.kept[net, stage] for net in nets)))
                    self.kept |= {(net, stage + 1): register[k] for k, net in enumerate(nets)}

    def _at(self, net: int, stage: int) -> Value:
        """A net as stage `stage` sees it."""
        return Const(net, 1) if net <= ONE else self.kept[net, stage]

    def _table(self, name: str, inputs: Sequence[Value], tables: Sequence[int], outs: Sequence[Value]) -> None:
        """One function of up to 6 inputs, or two of the same, up to 5."""
        size = 1 << len(inputs)
        if not self.primitives:
            # nothing selects from a table of one entry: a selection by no bits is no Verilog
            looked = [Const(table, size).bit_select(Cat(*inputs), 1) if inputs else Const(table & 1, 1) for table in tables]
            self.m.d.comb += [out.eq(value) for out, value in zip(outs, looked, strict=True)]
        elif len(tables) == 1:
            pins = {f"i_I{k}": value for k, value in enumerate(inputs)}
            self.m.submodules[name] = Instance(f"LUT{len(inputs)}", p_INIT=Const(tables[0], size), **pins, o_O=outs[0])
        else:
            upper, lower = (sum((table >> (k % size) & 1) << k for k in range(32)) for table in tables)
            pins = {f"i_I{k}": inputs[k] if k < len(inputs) else Const(0, 1) for k in range(5)}
            self.m.submodules[name] = Instance(
                "LUT6_2", p_INIT=Const(upper << 32 | lower, 64), **pins, i_I5=Const(1, 1), o_O6=outs[0], o_O5=outs[1]
            )

    def _lut(self, number: int, cell: Lut) -> None:
        stage = self.stages.birth[cell.outs[0]]
        outs = [self.kept[net, stage] for net in cell.outs]
        self._table(f"{self.name}_l{number}", [self._at(net, stage) for net in cell.inputs], cell.tables, outs)

    def _chain(self, number: int, cell: Chain) -> None:
        m, name, stage = self.m, f"{self.name}_c{number}", self.stages.birth[cell.outs[0]]
        outs, whole = [self.kept[net, stage] for net in cell.outs], -(-len(cell.outs) // 4) * 4
        s, d = Signal(whole, name=f"{name}_s"), Signal(whole, name=f"{name}_d")
        for k, p in enumerate(cell.positions):
            inputs = [self._at(net, stage) for net in p.inputs]
            if p.second is None or p.side is not None:
                m.d.comb += d[k].eq(self._at(p.di, stage))
            if p.through:
                m.d.comb += s[k].eq(inputs[0] if inputs else p.table & 1)
                continue
            tables, made = [p.table], [s[k]]
            if p.second is not None:
                tables.append(p.second)
                made.append(d[k] if p.side is None else self.kept[p.side, stage])
            self._table(f"{name}_{k}", inputs, tables, made)
        carry = self._at(cell.cin, stage)
        if not self.primitives:
            m.d.comb += Cat(*outs).eq(d + (s ^ d) + carry)
            return
        for first in range(0, whole, 4):
            sums, carries = Signal(4, name=f"{name}_o{first}"), Signal(4, name=f"{name}_co{first}")
            pins = {"i_CI": carry, "i_CYINIT": Const(0, 1)} if first else {"i_CI": Const(0, 1), "i_CYINIT": carry}
            part = slice(first, first + 4)
            m.submodules[f"{name}_{first}_carry"] = Instance("CARRY4", **pins, i_DI=d[part], i_S=s[part], o_O=sums, o_CO=carries)
            m.d.comb += Cat(*outs[part]).eq(sums)
            carry = carries[3]
