"""popcount(XNOR(x, w)) of run-time bits as LUTs and carry chains: the engine of a folded layer on 7-series and UltraScale+.

A LUT6_2 adds two products and one bit: (x_1, w_1, x_2, w_2, s) has 5 inputs, sum and carry are its two functions. So half a LUT a product
makes, of N products, N / 2 bits of weight 2 and, rippled through groups of `GROUP` products, N / GROUP bits of weight 1. Both are counted
as `arbonn.hw.cmvm.sums` counts bits, and added in one chain.
"""

from __future__ import annotations

from functools import lru_cache

from arbonn.hw.cmvm.costs import costs, width
from arbonn.hw.cmvm.netlist import Netlist, table_of
from arbonn.hw.cmvm.sums import Sums, Word

GROUP = 8  # products: 4 LUT levels. 4 take about a tenth more LUTs, 16 a twentieth less


@lru_cache(maxsize=64)
def xnor_popcount(count: int, *, xor: bool = False, group: int = GROUP) -> Netlist:
    """The netlist for `count` products: inputs x_0, w_0, x_1, w_1, ...; one output word. `xor`: of XOR(x, w) in place of XNOR."""
    netlist = Netlist(2 * count)

    def product(x: int, w: int) -> int:
        return x ^ w ^ (not xor)

    ones, twos = list[int](), list[int]()
    for first in range(0, count, group):
        rest = list(range(first, min(count, first + group)))
        before: tuple[int, ...] = ()  # the sum of the group so far, modulo 2
        while rest:
            taken, rest = rest[:2], rest[2:]
            nets = (*(net for k in taken for net in (2 + 2 * k, 3 + 2 * k)), *before)
            pairs = len(taken)

            def total(v: tuple[int, ...], pairs: int = pairs) -> int:
                return sum(product(v[2 * k], v[2 * k + 1]) for k in range(pairs)) + sum(v[2 * pairs :])

            if len(taken) == 1 and not before:
                before = (netlist.lut(nets, table_of(2, lambda v: product(v[0], v[1]))),)
                continue
            low, high = (table_of(len(nets), lambda v, k=k, total=total: total(v) >> k) for k in range(2))  # type: ignore[misc]
            bit, carry = netlist.pair(nets, low, high)
            before = (bit,)
            twos.append(carry)
        ones += before
    table = costs(max(len(ones), len(twos), 7), 7)
    sums = Sums(netlist, table)
    low_word = sums.count([(net, False) for net in ones], 1)
    netlist.outputs = [low_word.bits] if not twos else [_joined(sums, low_word, sums.count([(net, False) for net in twos], 1), count)]
    return netlist


def _joined(sums: Sums, ones: Word, twos: Word, most: int) -> tuple[int, ...]:
    """ones + 2 * twos: one chain above the lowest bit."""
    upper = Word(ones.bits[1:], ones.top >> 1, 0)
    if upper.top == 0:
        return (*ones.bits, *twos.bits)[: width(most)]
    if len(twos.bits) < len(upper.bits):
        twos, upper = upper, twos
    return (ones.bits[0], *sums.absorb(twos, upper, (), ()).bits)[: width(most)]
