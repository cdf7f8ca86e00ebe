"""The netlist of a layer from its tree: cores, words, and each row's end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from arbonn.hw.cmvm.compare import reached, suits
from arbonn.hw.cmvm.costs import NEVER, RAW, width
from arbonn.hw.cmvm.netlist import LUT_INPUTS, ONE, ZERO, Netlist
from arbonn.hw.cmvm.prices import BIT, FULL, ZERO_PARENT, Prices, Rows, sharing
from arbonn.hw.cmvm.sums import NOTHING, Literal, Sums, Word
from arbonn.hw.cmvm.tree import Found
from arbonn.hw.datatypes import Integers, smallest

Total = tuple[tuple[int, ...], bool]  # nets of a whole sum, and whether it is signed


class Writer:
    """Writes the netlist of a tree of rows."""

    def __init__(self, weights: Integers, thresholds: Integers | None, rows: Rows, prices: Prices, found: Found) -> None:
        self.weights, self.thresholds, self.rows, self.prices, self.found = weights, thresholds, rows, prices, found
        self.netlist = Netlist(weights.shape[0])
        self.sums = Sums(self.netlist, prices.costs)
        self.low, self.high = weights.clip(None, 0).sum(axis=0), weights.clip(0, None).sum(axis=0)
        self.totals: dict[int, Total] = {}
        self.bits: dict[int, int] = {}

    def write(self) -> Netlist:
        """The finished netlist."""
        for parent, members in self.found.tree.groups():
            self._group(parent, members)
        if self.thresholds is None:
            self.netlist.outputs = [self.totals[row][0] for row in range(self.rows.count)]
        else:
            self.netlist.outputs = [(self._bit(row),) for row in range(self.rows.count)]
        return self.netlist

    def _bit(self, row: int) -> int:
        if row not in self.bits:  # a whole sum is there
            nets, signed = self.totals[row]
            self.bits[row] = reached(self.netlist, nets, (), 1, self._threshold(row), signed)
        return self.bits[row]

    def _kind(self, parent: int, row: int) -> int:
        if parent == self.rows.count:
            return ZERO_PARENT
        return BIT if self._ends_in_a_bit(row) else FULL

    def _differences(self, parent: int, row: int) -> Integers:
        """What the row adds to its parent, a coefficient of -1, 0 or 1 for each input."""
        below = self.weights[:, parent] if parent < self.rows.count else 0
        difference = self.weights[:, row] - below
        return difference // 2 if self.rows.signed and parent < self.rows.count else difference

    def _group(self, parent: int, members: Sequence[int]) -> None:
        """The siblings, with their cores where these pay."""
        rows = self.rows
        steps = [self._differences(parent, row) for row in members]
        bits, kinds = [int(np.count_nonzero(s)) for s in steps], [self._kind(parent, row) for row in members]
        shared = sharing(members, parent, np.array(bits), np.array(kinds), rows, self.prices)
        if shared.inner < 0:
            for row, step in zip(members, steps, strict=True):
                self._row(parent, row, step, NOTHING, 0, 1)
            return
        first, second = shared.pair
        both = np.where(steps[first] == steps[second], steps[first], 0)
        sign = 1 if both.sum() >= 0 else -1
        if shared.outer >= 0:
            every = np.where(both == steps[shared.alone], both, 0)
            core = self.sums.count(self._literals(every, sign), shared.outer)
            self._row(parent, members[shared.alone], steps[shared.alone] - every, core, shared.outer, sign)
            core = self.sums.extend(core, self._literals(both - every, sign), shared.outer, shared.inner)
        else:
            core = self.sums.count(self._literals(both, sign), shared.inner)
            if shared.alone >= 0:
                self._row(parent, members[shared.alone], steps[shared.alone], NOTHING, 0, 1)
        for k in shared.pair:
            self._row(parent, members[k], steps[k] - both, core, shared.inner, sign)

    def _literals(self, step: Integers, sign: int) -> list[Literal]:
        """The inputs of a step as literals of a word that counts sign * step."""
        return [(int(i) + 2, bool(step[i] * sign < 0)) for i in np.flatnonzero(step)]

    def _row(self, parent: int, row: int, rest: Integers, core: Word, level: int, sign: int) -> None:
        """One row: its core, the rest of its step, and its end."""
        if core is NOTHING and rest.sum() < 0:
            sign = -1
        kind = self._kind(parent, row)
        if kind == ZERO_PARENT:
            self._from_zero(row, rest, core, level, sign)
        elif kind == FULL:
            self._from_parent(parent, row, rest, core, level, sign)
        else:
            self._one_bit(parent, row, rest, core, level, sign)

    def _word(self, core: Word, literals: list[Literal], level: int, offset: int = 0) -> Word:
        """The core with more literals, by the level that is set for all words."""
        if core is NOTHING:
            return self.sums.count(literals, self.prices.by, offset)
        return self.sums.extend(core, literals, level, self.prices.by, offset)

    def _from_parent(self, parent: int, row: int, rest: Integers, core: Word, level: int, sign: int) -> None:
        """The parent's sum and the word, in the final adder, which takes as many literals itself as its tables have room for."""
        nets, signed = self.totals[parent]
        shared = int(self.rows.signed)  # differences of -1 and 1 are even: the lowest bit is the parent's
        result = smallest(int(self.low[row]), int(self.high[row]))
        top = nets[-1] if signed else ZERO
        own = [*nets, *[top] * result.bits][shared : result.bits]
        straight = sorted(self._literals(rest, 1), key=lambda literal: literal[1])  # positive ones first
        n, costs_ = len(straight), self.prices.costs
        choices = []
        for raw in range(min(RAW, n) + 1):
            for carry in range(min(1, n - raw) + 1):
                left = n - raw - carry
                bits = width(core.count + left)
                if (core is NOTHING and left == 1) or (raw and bits + raw > RAW):
                    continue
                if core is NOTHING:
                    cost = costs_.popcounts[self.prices.by, left]
                else:
                    cost = costs_.extensions[level, self.prices.by, core.count, left]
                choices.append((cost, bits, raw, carry))
        cost, bits, raw, carry = min(choices)
        assert cost < NEVER
        carried, straight = straight[:carry], straight[carry:]
        tabled, straight = straight[len(straight) - raw :], straight[: len(straight) - raw]
        literals = [(net, negative ^ (sign < 0)) for net, negative in straight]
        # A word of 6 bits or more needs its lowest bits to pass the final tables as they are: the constant behind it is made to suit.
        modulus = 1 << max(0, bits - RAW)
        shift = core.shift + sum(negative for _, negative in literals)
        minus = sum(negative for _, negative in carried)
        need = (-(shift + minus) if sign > 0 else minus - 1 - shift) % modulus
        word = self._word(core, literals, level, need)
        total = self.sums.add(own, word, sign, tabled, carried)
        self.totals[row] = ((*nets[:shared], *total), result.signed)

    def _from_zero(self, row: int, rest: Integers, core: Word, level: int, sign: int) -> None:
        """A sum that begins at nothing: a count, with what its negative literals owe in a table of its last step."""
        result = smallest(int(self.low[row]), int(self.high[row]))
        bits = result.bits if self.high[row] > self.low[row] else 0
        literals = self._literals(rest, 1)
        counted = [(net, negative ^ (sign < 0)) for net, negative in literals]
        n, one_bit = len(literals), self._ends_in_a_bit(row)
        if core is NOTHING and n <= LUT_INPUTS:
            nets, signs = [net for net, _ in literals], [-1 if negative else 1 for _, negative in literals]
            sums = [sum(s * (v >> k & 1) for k, s in enumerate(signs)) for v in range(1 << n)]
            if one_bit:
                self.bits[row] = self.netlist.lut(nets, sum((total >= self._threshold(row)) << v for v, total in enumerate(sums)))
            else:
                self.totals[row] = self._tabled(nets, sums, bits), result.signed
        elif one_bit:
            word = self._word(core, counted, level)
            bound = self._threshold(row) + sign * word.shift
            self.bits[row] = reached(self.netlist, (), word.bits, sign, bound)
        elif core is not NOTHING or not any(negative for _, negative in counted):
            word = self._word(core, counted, level)
            sums = [sign * (v - word.shift) for v in range(1 << len(word.bits))]
            plain = sign > 0 and word.shift == 0
            total = (*word.bits, *[ZERO] * bits)[:bits] if plain else self._tabled(word.bits, sums, bits)
            self.totals[row] = total, result.signed
        else:
            straight = sorted(literals, key=lambda literal: literal[1])  # positive ones first
            raw = min(RAW, n - 2)
            by = self.prices.by - 1 if self.prices.costs.bounded else self.prices.by
            if self.prices.costs.popcounts[by, n - raw - 1] >= NEVER:  # the last step takes a level of its own
                raw, by = 0, by + 1
            word = self.sums.count(straight[1 : n - raw], by)
            own = [*word.bits, *[ZERO] * bits][:bits]
            self.totals[row] = self.sums.add(own, NOTHING, 1, straight[n - raw :], straight[:1], -word.shift), result.signed

    def _tabled(self, nets: Sequence[int], values: Sequence[int], bits: int) -> tuple[int, ...]:
        """The bits of a function of a few nets, two in a LUT where their inputs allow it."""
        tables = [sum((value >> k & 1) << v for v, value in enumerate(values)) for k in range(bits)]
        if 2 <= len(nets) <= RAW:
            pairs = [self.netlist.pair(nets, *tables[k : k + 2]) for k in range(0, bits - 1, 2)]
            return (*(net for pair in pairs for net in pair), *([self.netlist.lut(nets, tables[-1])] if bits % 2 else []))
        return tuple(self.netlist.lut(nets, table) for table in tables)

    def _one_bit(self, parent: int, row: int, rest: Integers, core: Word, level: int, sign: int) -> None:
        """parent's sum + sign * word >= a bound: a comparison in place of the final adder."""
        nets, signed = self.totals[parent]
        threshold, literals = self._threshold(row), self._literals(rest, sign)
        if not self.low[row] < threshold <= self.high[row]:
            self.bits[row] = ONE if threshold <= self.low[row] else ZERO
            return
        # A layer of -1 and 1: y = 2 (Y + u) + parity, and y >= t is Y + u >= t / 2 for an even t; an odd one needs the parity.
        doubled = self.rows.signed and threshold % 2
        if self.rows.signed and not doubled:
            nets, threshold = nets[1:] or nets[:signed], threshold // 2  # the one bit of -1 and 0 is the sign
        scale = sign * (2 if doubled else 1)
        shift = core.shift + sum(negative for _, negative in literals)
        top = core.top + len(literals)
        fitting = [k for k in range(8) if suits(threshold + scale * (shift + k), sign) and width(top + k) == width(top)]
        word = self._word(core, literals, level, fitting[0] if fitting else 0)
        bits = (ZERO, *word.bits) if doubled else word.bits
        self.bits[row] = reached(self.netlist, nets, bits, sign, threshold + scale * word.shift, signed)

    def _threshold(self, row: int) -> int:
        assert self.thresholds is not None
        return int(self.thresholds[row])

    def _ends_in_a_bit(self, row: int) -> bool:
        return self.thresholds is not None and not self.found.tree.broods[row]
