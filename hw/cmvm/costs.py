"""What sums of bits cost on LUTs with carry chains: least costs by dynamic programming over the ways to build them.

A word of count M (a number 0 .. M in bit_length(M) bits) grows by one step: it absorbs, in one carry chain, a table of a second word and
`r` single bits, together 5 bits (or the second word alone, of any width), and one more bit by the carry input. LUT k of the chain holds
bit k of the table, so only as many positions as the table has bits take a LUT cell; the others are routed through (`phys`).
A carry out of the chain takes a position more (`netlist.Chain`).

Three words and two bits are added in one chain too: position k holds a_k ^ b_k ^ c_k ^ m_k, its LUT's second output is the majority of
a_k, b_k and c_k, and that is m_{k+1}; the two bits are m_0 and the carry input. Two LUT levels.

A word begins as tables of up to 5 bits, or as 6 or 7 bits in a chain: bits 1 to 5 make b, position 0 adds bit 6 and the parity of b,
position 1 the two parts of b // 2 (0, 1 or 2), which are functions of b's five bits; the seventh bit is the carry input. (The (6)-atom of
Preusser, "Generic and universal parallel matrix summation with a flexible compression goal for Xilinx FPGAs", FPL 2017.)
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

Table = NDArray[np.int32]
NEVER = 1 << 20
RAW = 5  # bits that a table of a chain may have beside the sum's own
STARTS = ((0, 0), (0, 0), (1, 1), (1, 1), (2, 2), (2, 2), (2, 3), (2, 3))  # LUT cells and `phys` of a first word of n bits


@njit(cache=True)
def width(top: int) -> int:
    """Bits of the numbers 0 .. top."""
    bits = 0
    while top >> bits:
        bits += 1
    return bits


@njit(cache=True)
def step_cost(m: int, word: int, raw: int, carry: int, cell: int, phys: int) -> int:
    """Cost of one step: a word of count m takes in a word of count `word`, `raw` bits and `carry` bits; NEVER if it cannot."""
    if word + raw < 1 or word == 1 or m < 2:
        return NEVER
    bits = width(word)
    if raw > 0 and bits + raw > RAW:
        return NEVER
    table = width(word + raw)
    positions = max(width(m), table)
    cells = table if raw > 0 else min(width(m), bits)
    return cell * cells + phys * (positions + (width(m + word + raw + carry) > positions))


@njit(cache=True)
def three_cost(a: int, b: int, c: int, bits: int, cell: int, phys: int) -> int:
    """Cost of adding words of counts a, b, c and `bits` (0 to 2) bits in one chain."""
    total = width(a + b + c + bits)
    cells, carried = 0, bits > 0
    for k in range(total):
        here = (a >> k > 0) + (b >> k > 0) + (c >> k > 0)
        cells += here + carried >= 2
        carried = here >= 2
    return cell * cells + phys * total


@njit(cache=True)
def _popcounts(most: int, levels: int, bounded: bool, cell: int, phys: int, starts: Table) -> Table:
    costs = np.full((levels + 1, most + 1), NEVER, dtype=np.int32)
    costs[:, 0] = 0
    costs[:, min(1, most)] = 0
    for level in range(1, levels + 1):
        before = level - 1 if bounded else level
        for n in range(2, most + 1):
            best = costs[level - 1, n]
            if n <= 7:
                best = min(best, starts[n, 0] * cell + starts[n, 1] * phys)
            for word in range(n - 1):
                for raw in range(RAW + 1):
                    for carry in range(2):
                        m = n - word - raw - carry
                        if word == 1 or m < 2 or word + raw < 1 or (raw > 0 and width(word) + raw > RAW):
                            continue
                        found = costs[before, m] + costs[before, word] + step_cost(m, word, raw, carry, cell, phys)
                        best = min(best, found)
            # Words of 7, 15, 23 .. bits are what three are cheapest of; all are tried where that is quick.
            grain = 1 if n <= 128 else 8
            early = level - 2 if bounded else level
            for c in range(grain - 1 if grain > 1 else 2, n // 3 + 1, grain):
                for b in range(c, (n - c) // 2 + 1, grain):
                    for bits in range(3):
                        if early >= 0 and n - b - c - bits >= 2:
                            found = costs[early, n - b - c - bits] + costs[early, b] + costs[early, c]
                            best = min(best, found + three_cost(n - b - c - bits, b, c, bits, cell, phys))
            costs[level, n] = best
    return costs


@njit(cache=True)
def _extensions(most: int, levels: int, bounded: bool, cell: int, phys: int, popcounts: Table) -> Table:
    """[l, k, m, n]: a word of count m at level l takes in n bits until level k."""
    costs = np.full((levels + 1, levels + 1, most + 1, most + 1), NEVER, dtype=np.int32)
    for last in range(levels + 1):
        for level in range(last, -1, -1):
            after = level + 1 if bounded else level
            for m in range(2, most + 1):
                costs[level, last, m, 0] = 0
            if after > last:
                continue
            for n in range(1, most - 1):
                for m in range(2, most - n + 1):
                    best = costs[after, last, m, n]  # it may wait a level
                    for word in range(n + 1):
                        for raw in range(RAW + 1):
                            for carry in range(2):
                                added = word + raw + carry
                                if word == 1 or added > n or word + raw < 1 or (raw > 0 and width(word) + raw > RAW):
                                    continue
                                found = popcounts[level, word] + step_cost(m, word, raw, carry, cell, phys)
                                found += costs[after, last, m + added, n - added]
                                best = min(best, found)
                    later = level + 2 if bounded else level
                    for b in range(2, n - 1):
                        for c in range(2, min(b, n - b) + 1):
                            for bits in range(min(2, n - b - c) + 1):
                                if later <= last:
                                    added = b + c + bits
                                    found = popcounts[level, b] + popcounts[level, c] + three_cost(m, b, c, bits, cell, phys)
                                    best = min(best, found + costs[later, last, m + added, n - added])
                    costs[level, last, m, n] = best
    return costs


@dataclass(frozen=True, eq=False)
class Costs:
    """Least costs, in units of `cell` for a LUT cell and `phys` for a LUT that is taken, routed through or not.

    popcounts   [l, n]: a word of n bits by level l.    extensions  [l, k, m, n], n bits into a word of count m, from level l to k.
    Without a bound on levels the tables have the one level 1 (and 0 for what takes no LUT).
    """

    most: int
    levels: int
    bounded: bool
    cell: int
    phys: int
    popcounts: Table
    extensions: Table

    def start(self, n: int) -> int:
        """Cost of a word straight from n <= 7 literals."""
        return STARTS[n][0] * self.cell + STARTS[n][1] * self.phys

    def three(self, a: int, b: int, c: int, bits: int) -> int:
        """`three_cost` in this table's units."""
        return int(three_cost(a, b, c, bits, self.cell, self.phys))

    def step(self, m: int, word: int, raw: int, carry: int) -> int:
        """`step_cost` in this table's units."""
        return int(step_cost(m, word, raw, carry, self.cell, self.phys))


@lru_cache(maxsize=8)
def costs(most: int, reach: int, levels: int | None = None, cell: int = 2, phys: int = 3) -> Costs:
    """Tables for popcounts up to `most` bits and extensions up to a count of `reach`, all within `levels` LUT levels if that is given."""
    count = levels if levels is not None else 1
    popcounts = _popcounts(max(most, reach), count, levels is not None, cell, phys, np.array(STARTS, dtype=np.int32))
    extensions = _extensions(reach, count, levels is not None, cell, phys, popcounts)
    return Costs(max(most, reach), count, levels is not None, cell, phys, popcounts, extensions)
