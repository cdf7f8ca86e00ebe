"""What siblings in a tree of rows cost: alone, in pairs and in threes that share cores; the annealing's innermost functions."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from arbonn.hw.cmvm.costs import NEVER, RAW, Costs, Table, width

FULL, BIT, ZERO_PARENT = 0, 1, 2  # kinds of a row: whole sum from a parent, one bit from a parent, whole sum from the zero row

Array = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Rows:
    """Distances between rows, the zero row last. `sets`: for the rows' own sets of literals, (rows + 1, words) of 64 bits.

    signed        rows of -1 and 1: two rows with the zero row as parent share the inputs where they are equal.
    from_rows     a row may have another row as parent (no ternary one: its coefficients differ by 2 and by 1).
    """

    inputs: int
    sets: NDArray[np.uint64]
    distance: Array
    signed: bool
    from_rows: bool

    @property
    def count(self) -> int:
        return len(self.sets) - 1


@dataclass(frozen=True, eq=False)
class Prices:
    """What the annealing looks up: `leaf[kind, l, m, n]`: n more bits into a core of m bits that is there at level l, and the row's end.

    `direct[kind, n]`: the same with no core. `by`: the level until which every sum has to be there.
    """

    costs: Costs
    by: int
    leaf: Table
    direct: Table


@njit(cache=True)
def leaf_prices(extensions: Table, popcounts: Table, by: int, ends: Table, reach: int, kinds: int) -> tuple[Table, Table]:
    """Tables of `Prices`. `ends[kind, w]`: cost of a row's end behind a word of w bits; a whole sum's takes 5 - w bits and a carry too."""
    levels = extensions.shape[0]
    leaf = np.full((kinds, levels, reach + 1, reach + 1), NEVER, dtype=np.int32)
    direct = np.full((kinds, popcounts.shape[1]), NEVER, dtype=np.int32)
    for kind in range(kinds):
        spare = RAW if kind == 0 else 0
        for n in range(popcounts.shape[1]):
            for raw in range(min(spare, n) + 1):
                for carry in range(min(1 if kind == 0 else 0, n - raw) + 1):
                    rest = n - raw - carry
                    if (rest == 1 and kind == 0) or (raw > 0 and width(rest) + raw > RAW) or width(rest) >= ends.shape[1]:
                        continue
                    if n == 0 and kind == 0:
                        direct[kind, 0] = 0
                    else:
                        direct[kind, n] = min(direct[kind, n], popcounts[by, rest] + ends[kind, width(rest)])
        for level in range(by + 1):
            for m in range(2, reach + 1):
                for n in range(reach - m + 1):
                    for raw in range(min(spare, n) + 1):
                        for carry in range(min(1 if kind == 0 else 0, n - raw) + 1):
                            rest = n - raw - carry
                            bits = width(m + rest)
                            if (raw > 0 and bits + raw > RAW) or bits >= ends.shape[1]:
                                continue
                            found = extensions[level, by, m, rest] + ends[kind, bits]
                            leaf[kind, level, m, n] = min(leaf[kind, level, m, n], found)
    return leaf, direct


@njit(cache=True)
def _ones(word: np.uint64) -> int:
    count = 0
    while word:
        word &= word - np.uint64(1)
        count += 1
    return count


@njit(cache=True)
def core_of_two(p: int, a: int, b: int, distance: Array, inputs: int, signed: bool) -> int:
    """Inputs in which rows a and b both differ from p."""
    if signed and p == distance.shape[0] - 1:
        return inputs - distance[a, b]
    return (distance[p, a] + distance[p, b] - distance[a, b]) // 2


@njit(cache=True)
def core_of_three(p: int, a: int, b: int, c: int, distance: Array, sets: NDArray[np.uint64], inputs: int, signed: bool) -> int:
    """Inputs in which rows a, b and c all differ from p."""
    if signed and p == distance.shape[0] - 1:
        return inputs - (distance[a, b] + distance[a, c] + distance[b, c]) // 2
    total = 0
    for k in range(sets.shape[1]):
        word = (sets[p, k] ^ sets[a, k]) & (sets[p, k] ^ sets[b, k]) & (sets[p, k] ^ sets[c, k])
        total += _ones(word)
    return total


@njit(cache=True)
def pair_price(
    core: int, n1: int, n2: int, kind1: int, kind2: int, popcounts: Table, by: int, leaf: Table, direct: Table
) -> tuple[int, int]:
    """(cost, level of the core; -1 without one) of two siblings with n1 and n2 bits in all, `core` of them shared."""
    best, where = direct[kind1, n1] + direct[kind2, n2], -1
    if 2 <= core < leaf.shape[2] and max(n1, n2) < leaf.shape[2]:
        for level in range(1, by + 1):
            found = popcounts[level, core] + leaf[kind1, level, core, n1 - core] + leaf[kind2, level, core, n2 - core]
            if found < best:
                best, where = found, level
    return best, where


@njit(cache=True)
def three_price(
    core: int, pairs: Array, bits: Array, kinds: Array, popcounts: Table, extensions: Table, by: int, leaf: Table, direct: Table
) -> tuple[int, int, int, int]:
    """(cost, which row stands alone, level of the core, level of the pair's core) of three siblings; pairs[i]: core of the other two."""
    best, alone, outer, inner = NEVER * 4, 0, -1, -1
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        cost, level = pair_price(pairs[i], bits[j], bits[k], kinds[j], kinds[k], popcounts, by, leaf, direct)
        cost += direct[kinds[i], bits[i]]
        if cost < best:
            best, alone, outer, inner = cost, i, -1, level
        if core < 2 or bits.max() >= leaf.shape[2]:
            continue
        both = pairs[i]
        for a in range(1, by + 1):
            base = popcounts[a, core] + leaf[kinds[i], a, core, bits[i] - core]
            for b in range(a, by + 1):
                cost = base + extensions[a, b, core, both - core]
                cost += leaf[kinds[j], b, both, bits[j] - both] + leaf[kinds[k], b, both, bits[k] - both]
                if cost < best:
                    best, alone, outer, inner = cost, i, a, b
    return best, alone, outer, inner


@njit(cache=True)
def group_price(g, parent, size, members, broods, one_bit, place):
    """The cost of a group of the tree."""
    distance, sets, inputs, signed, popcounts, extensions, by, leaf, direct = place
    p, zero = parent[g], distance.shape[0] - 1
    if size[g] == 0:
        return np.int64(0)
    bits, kinds, pairs = np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64)
    for k in range(size[g]):
        row = members[g, k]
        bits[k] = distance[p, row]
        kinds[k] = ZERO_PARENT if p == zero else (BIT if one_bit and broods[row] == 0 else FULL)
    if size[g] == 1:
        return np.int64(direct[kinds[0], bits[0]])
    a, b, c = members[g, 0], members[g, 1], members[g, 2]
    if size[g] == 2:
        core = core_of_two(p, a, b, distance, inputs, signed)
        return np.int64(pair_price(core, bits[0], bits[1], kinds[0], kinds[1], popcounts, by, leaf, direct)[0])
    pairs[0] = core_of_two(p, b, c, distance, inputs, signed)
    pairs[1] = core_of_two(p, a, c, distance, inputs, signed)
    pairs[2] = core_of_two(p, a, b, distance, inputs, signed)
    core = core_of_three(p, a, b, c, distance, sets, inputs, signed)
    return np.int64(three_price(core, pairs, bits, kinds, popcounts, extensions, by, leaf, direct)[0])


@dataclass(frozen=True)
class Sharing:
    """How siblings share: two of them (`pair`) a core by level `inner`, all three a smaller one by `outer`; -1: none."""

    pair: tuple[int, int] = (0, 1)
    alone: int = -1
    outer: int = -1
    inner: int = -1


def sharing(members: Sequence[int], parent: int, bits: Array, kinds: Array, rows: Rows, prices: Prices) -> Sharing:
    """What the price of these siblings stands for."""
    counts, leaf, direct, by = prices.costs.popcounts, prices.leaf, prices.direct, prices.by
    if len(members) == 1:
        return Sharing()
    cores = [core_of_two(parent, a, b, rows.distance, rows.inputs, rows.signed) for a, b in _others(members)]
    if len(members) == 2:
        a, b = bits.tolist()
        return Sharing(inner=int(pair_price(cores[0], a, b, kinds[0], kinds[1], counts, by, leaf, direct)[1]))
    a, b, c = members
    core = core_of_three(parent, a, b, c, rows.distance, rows.sets, rows.inputs, rows.signed)
    _, alone, outer, inner = three_price(core, np.array(cores), bits, kinds, counts, prices.costs.extensions, by, leaf, direct)
    return Sharing(((alone + 1) % 3, (alone + 2) % 3), int(alone), int(outer), int(inner))


def _others(members: Sequence[int]) -> list[tuple[int, int]]:
    """For each of three the other two; for two the two."""
    if len(members) == 2:
        return [(members[0], members[1])]
    return [(members[(i + 1) % 3], members[(i + 2) % 3]) for i in range(3)]
