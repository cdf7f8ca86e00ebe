"""A combinational netlist of LUTs and carry chains, as 7-series and UltraScale+ have them: built, counted, evaluated.

A net is an integer: 0 and 1 are the constants, then come the inputs, then what cells give. Cells stand in topological order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
ZERO, ONE = 0, 1
LUT_INPUTS = 6


@dataclass(frozen=True)
class Lut:
    """One or two functions of the same inputs, as truth tables (bit k: value at input number k); two share at most 5 inputs (LUT6_2)."""

    inputs: tuple[int, ...]
    tables: tuple[int, ...]
    outs: tuple[int, ...]


@dataclass(frozen=True)
class Position:
    """One bit of a carry chain: S = table(inputs), DI = the net `di`, or `second` of the same inputs (at most 5; LUT6_2).

    With `side` the second function is that net instead, which a later position of the chain reads.
    """

    inputs: tuple[int, ...]
    table: int
    di: int
    second: int | None = None
    side: int | None = None

    @property
    def through(self) -> bool:
        """True when S is a net or a constant: it takes no LUT cell, but the slice's LUT all the same."""
        return not self.inputs or (len(self.inputs) == 1 and self.second is None and self.table == 0b10)


@dataclass(frozen=True)
class Chain:
    """outs[k] = S_k ^ c_k, c_0 = cin, c_{k+1} = c_k if S_k else DI_k.

    A carry is read as the sum bit of one more position with S = 0: a slice has one way out for the two.
    """

    cin: int
    positions: tuple[Position, ...]
    outs: tuple[int, ...]

    @property
    def sides(self) -> tuple[int, ...]:
        """Nets that its positions make for its later positions."""
        return tuple(p.side for p in self.positions if p.side is not None)

    @property
    def reads(self) -> Iterator[int]:
        """Every net it depends on."""
        own = set(self.sides)
        for net in (self.cin, *(net for p in self.positions for net in (*p.inputs, p.di))):
            if net not in own:
                yield net

    @property
    def span(self) -> int:
        """LUT levels from what it reads to its sums."""
        return 2 if self.sides else 1


@dataclass(frozen=True)
class Counts:
    """What a netlist takes. `luts`: LUT cells. `phys`: with inverters and the LUTs that carry positions without one are routed through."""

    luts: int
    phys: int
    carry4: int
    levels: int


def table_of(count: int, function: Callable[[Sequence[int]], int]) -> int:
    """The truth table of `function`, which is called with the `count` input bits and gives a number whose lowest bit counts."""
    return sum((function([k >> i & 1 for i in range(count)]) & 1) << k for k in range(1 << count))


@dataclass
class Netlist:
    """`inputs` nets 2 .. inputs + 1; `outputs`: a word of nets, lowest bit first, for each output of the layer."""

    inputs: int
    cells: list[Lut | Chain] = field(default_factory=list)
    outputs: list[tuple[int, ...]] = field(default_factory=list)
    nets: int = 0
    made: dict[tuple[tuple[int, ...], int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.nets = 2 + self.inputs

    def new(self) -> int:
        """A net that nothing drives yet."""
        self.nets += 1
        return self.nets - 1

    def lut(self, inputs: Sequence[int], table: int) -> int:
        """The net of a function of any number of inputs; more than 6 are split. Constants, copies and equal LUTs take no cell."""
        kept, table = reduced(inputs, table)
        if not kept:
            return ONE if table & 1 else ZERO
        if len(kept) == 1 and table == 0b10:
            return kept[0]
        if len(kept) > LUT_INPUTS:
            half = 1 << (len(kept) - 1)
            low = self.lut(kept[:-1], table & ((1 << half) - 1))
            high = self.lut(kept[:-1], table >> half)
            return self.lut((low, high, kept[-1]), 0b11001010)
        if (kept, table) not in self.made:
            self.made[kept, table] = out = self.new()
            self.cells.append(Lut(kept, (table,), (out,)))
        return self.made[kept, table]

    def pair(self, inputs: Sequence[int], first: int, second: int) -> tuple[int, int]:
        """Two functions of the same 2 to 5 inputs in one LUT."""
        outs = (self.new(), self.new())
        self.cells.append(Lut(tuple(inputs), (first, second), outs))
        return outs

    def inverted(self, net: int) -> int:
        """The complement of a net, one inverter for all who ask."""
        return self.lut((net,), 0b01)

    def chain(self, cin: int, positions: Sequence[Position], carry: bool) -> tuple[int, ...]:
        """Sum bits, and the carry behind them if asked for."""
        every = (*positions, *([Position((), 0, ZERO)] if carry else []))
        cell = Chain(cin, every, tuple(self.new() for _ in every))
        self.cells.append(cell)
        return cell.outs

    def include(self, part: Netlist, inputs: Sequence[int]) -> list[tuple[int, ...]]:
        """The words of another netlist, whose cells are copied, on these nets as its inputs."""
        own = {ZERO: ZERO, ONE: ONE} | {2 + k: net for k, net in enumerate(inputs)}
        for cell in part.cells:
            made = (*cell.outs, *(() if isinstance(cell, Lut) else cell.sides))
            own |= {net: self.new() for net in made}
            outs = tuple(own[net] for net in cell.outs)
            if isinstance(cell, Lut):
                self.cells.append(Lut(tuple(own[net] for net in cell.inputs), cell.tables, outs))
                continue
            positions = tuple(
                replace(
                    p, inputs=tuple(own[net] for net in p.inputs), di=own[p.di], side=None if p.side is None else own[p.side]
                )
                for p in cell.positions
            )  # fmt: skip
            self.cells.append(replace(cell, cin=own[cell.cin], positions=positions, outs=outs))
        return [tuple(own[net] for net in word) for word in part.outputs]

    def net_levels(self) -> NDArray[np.int64]:
        """LUTs on the longest path to each net; a carry chain is one level, that of its LUTs."""
        levels = np.zeros(self.nets, dtype=np.int64)
        for cell in self.cells:
            if isinstance(cell, Lut):
                levels[list(cell.outs)] = 1 + levels[list(cell.inputs)].max(initial=0)
            else:
                levels[[*cell.outs, *cell.sides]] = cell.span + levels[list(cell.reads)].max(initial=0)
        return levels

    def counts(self) -> Counts:
        """Cells and levels of the netlist as it stands."""
        inverters = sum(isinstance(c, Lut) and len(c.inputs) == 1 for c in self.cells)
        positions = [p for c in self.cells if isinstance(c, Chain) for p in c.positions]
        through = sum(p.through for p in positions)
        luts = sum(isinstance(c, Lut) for c in self.cells) - inverters + len(positions) - through
        carry4 = sum(-(-len(c.positions) // 4) for c in self.cells if isinstance(c, Chain))
        levels = self.net_levels()
        deepest = max((int(levels[net]) for word in self.outputs for net in word), default=0)
        return Counts(luts, luts + inverters + through, carry4, deepest)

    def evaluate(self, inputs: Bits) -> list[Bits]:
        """Output words, (vectors, bits) each, for inputs (vectors, inputs) of 0 and 1: what the cells compute, one by one."""
        nets = np.zeros((self.nets, len(inputs)), dtype=np.uint8)
        nets[ONE] = 1
        nets[2 : 2 + self.inputs] = inputs.T
        for cell in self.cells:
            if isinstance(cell, Lut):
                for table, out in zip(cell.tables, cell.outs, strict=True):
                    nets[out] = _looked_up(table, nets[list(cell.inputs)])
                continue
            carry = nets[cell.cin]
            for p, out in zip(cell.positions, cell.outs, strict=True):
                s = _looked_up(p.table, nets[list(p.inputs)])
                di = nets[p.di]
                if p.second is not None and p.side is None:
                    di = _looked_up(p.second, nets[list(p.inputs)])
                elif p.second is not None:
                    nets[p.side] = _looked_up(p.second, nets[list(p.inputs)])
                nets[out] = s ^ carry
                carry = np.where(s, carry, di)
        return [nets[list(word)].T for word in self.outputs]


def reduced(inputs: Sequence[int], table: int) -> tuple[tuple[int, ...], int]:
    """The same function of those inputs alone on which it depends: no constants, none twice."""
    unique = [net for net in dict.fromkeys(inputs) if net > ONE]
    if len(unique) != len(inputs):
        place = {net: k for k, net in enumerate(unique)}
        old, table = table, 0
        for k in range(1 << len(unique)):
            bits = [net if net <= ONE else k >> place[net] & 1 for net in inputs]
            table |= (old >> sum(bit << i for i, bit in enumerate(bits)) & 1) << k
    kept = list(unique)
    for net in unique:
        low, high = _halves(table, kept.index(net), len(kept))
        if low == high:
            kept.remove(net)
            table = low
    return tuple(kept), table


def _halves(table: int, which: int, count: int) -> tuple[int, int]:
    """The tables for input `which` = 0 and 1, over the other inputs."""
    low = high = 0
    for k in range(1 << (count - 1)):
        at = (k >> which << (which + 1)) | (k & ((1 << which) - 1))
        low |= (table >> at & 1) << k
        high |= (table >> (at | 1 << which) & 1) << k
    return low, high


def _looked_up(table: int, inputs: Bits) -> Bits:
    """A truth table at inputs (count, vectors)."""
    entries = np.array([table >> k & 1 for k in range(1 << len(inputs))], dtype=np.uint8)
    index = np.zeros(inputs.shape[1], dtype=np.uint8)
    for k, row in enumerate(inputs):
        index |= row << np.uint8(k)
    return entries[index]
