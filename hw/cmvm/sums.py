"""Sums of bits as LUTs and carry chains, built the way that `costs` found cheapest.

A literal is (net, negative): it counts the net, or its complement. What goes into a chain past its LUTs (carry inputs, and the first bit
of a word) has to be a net as it is, so positive literals are kept for these places; where there is none an inverter is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from arbonn.hw.cmvm.costs import NEVER, RAW, STARTS, Costs, width
from arbonn.hw.cmvm.netlist import ONE, ZERO, Netlist, Position, reduced, table_of

Literal = tuple[int, bool]


@dataclass(frozen=True)
class Word:
    """A number 0 .. top, lowest bit first, that counts `count` literals. The sum of their signed nets is the number less `shift`."""

    bits: tuple[int, ...]
    top: int
    count: int
    shift: int = 0


NOTHING = Word((), 0, 0)


def number(bits: Sequence[int]) -> int:
    """The number of bits, lowest first."""
    return sum(bit << k for k, bit in enumerate(bits))


def literal_value(bit: int, negative: bool) -> int:
    """What a literal counts."""
    return bit ^ negative


class Sums:
    """Adds words to a netlist."""

    def __init__(self, netlist: Netlist, costs: Costs) -> None:
        self.netlist, self.costs = netlist, costs

    def positive(self, literal: Literal) -> int:
        """A net that is what the literal counts."""
        return self.netlist.inverted(literal[0]) if literal[1] else literal[0]

    def count(self, literals: Sequence[Literal], level: int, offset: int = 0) -> Word:
        """How many of the literals hold, by `level`; and `offset` more, in some table, if they are two or more."""
        n = len(literals)
        if n == 0:
            return NOTHING
        if n == 1:
            return Word((self.positive(literals[0]),), 1, 1, int(literals[0][1]))
        table = self.costs.popcounts
        while self.costs.bounded and table[level - 1, n] == table[level, n]:
            level -= 1
        if n < len(STARTS) and table[level, n] == self.costs.start(n):
            return self.start(literals, offset)
        before = level - 1 if self.costs.bounded else level
        for word in range(n - 1):
            for raw in range(RAW + 1):
                for carry in range(2):
                    m = n - word - raw - carry
                    if m >= 2 and table[before, m] + table[before, word] + self.costs.step(m, word, raw, carry) == table[level, n]:
                        given, first = split(literals, word, raw, carry)
                        other = self.count(given[0], before) if word else None
                        here = offset if raw else 0
                        return self.absorb(self.count(first, before, offset - here), other, given[1], given[2], here)
        early = level - 2 if self.costs.bounded else level
        for c in range(2, n // 3 + 1):
            for b in range(c, (n - c) // 2 + 1):
                for spare in range(3):
                    a = n - b - c - spare
                    if (
                        early < 0
                        or a < 2
                        or table[early, a] + table[early, b] + table[early, c] + self.costs.three(a, b, c, spare) != table[level, n]
                    ):
                        continue
                    single, groups = parts(literals, spare, (a, b, c))
                    words = [self.count(group, early, 0 if k else offset) for k, group in enumerate(groups)]
                    return self.three(words[0], words[1], words[2], single)
        raise AssertionError(f"no way to count {n} bits in {level} levels")

    def extend(self, word: Word, literals: Sequence[Literal], level: int, last: int, offset: int = 0) -> Word:
        """`word`, there at `level`, with the literals counted too, by level `last`; and `offset` more, if there is any literal."""
        table, n, m = self.costs.extensions, len(literals), word.count
        if n == 0:
            return word
        after = level + 1 if self.costs.bounded else level
        wanted = table[level, last, m, n]
        assert wanted < NEVER, f"no way to take {n} bits into a count of {m}"
        if self.costs.bounded and table[after, last, m, n] == wanted:
            return self.extend(word, literals, after, last, offset)
        for other in range(n + 1):
            for raw in range(RAW + 1):
                for carry in range(2):
                    added = other + raw + carry
                    if other == 1 or added > n:
                        continue
                    cost = self.costs.popcounts[level, other] + self.costs.step(m, other, raw, carry)
                    if cost + table[after, last, m + added, n - added] == wanted:
                        given, rest = split(literals, other, raw, carry)
                        second = self.count(given[0], level, 0 if raw else offset) if other else None
                        sum_ = self.absorb(word, second, given[1], given[2], offset if raw else 0)
                        return self.extend(sum_, rest, after, last)
        later = level + 2 if self.costs.bounded else level
        for b in range(2, n - 1):
            for c in range(2, min(b, n - b) + 1):
                for spare in range(min(2, n - b - c) + 1):
                    added = b + c + spare
                    cost = self.costs.popcounts[level, b] + self.costs.popcounts[level, c] + self.costs.three(m, b, c, spare)
                    if later > last or cost + table[later, last, m + added, n - added] != wanted:
                        continue
                    single, (second_part, third_part, rest) = parts(literals, spare, (b, c, n - added))
                    sum_ = self.three(word, self.count(second_part, level, offset), self.count(third_part, level), single)
                    return self.extend(sum_, rest, later, last)
        raise AssertionError(f"no way to take {n} bits into a count of {m}")

    def start(self, literals: Sequence[Literal], offset: int = 0) -> Word:
        """A word of 2 to 7 literals, straight from them, and of an offset."""
        n, shift = len(literals), sum(negative for _, negative in literals)
        bits = [net for net, _ in literals]
        signs = [negative for _, negative in literals]
        if n <= RAW:
            tables = [
                table_of(n, lambda v, k=k: sum(map(literal_value, v, signs)) + offset >> k)  # type: ignore[misc]
                for k in range(width(n + offset))
            ]
            low = self.netlist.pair(bits, tables[0], tables[1])
            return Word((*low, *(self.netlist.lut(bits, table) for table in tables[2:])), n + offset, n, shift + offset)
        (_, tabled, carries), (first,) = split(literals, 0, RAW, int(n == 7))
        if offset:
            return self.absorb(Word((self.positive(first),), 1, 1, int(first[1])), None, tabled, carries, offset)
        a, nets, signs = self.positive(first), [net for net, _ in tabled], [negative for _, negative in tabled]

        def b(values: Sequence[int]) -> int:
            return sum(map(literal_value, values, signs))

        k = len(nets)
        lowest = Position((*nets, a), table_of(k + 1, lambda v: v[-1] ^ b(v[:-1])), a)
        s, d = table_of(k, lambda v: b(v) // 2 == 1), table_of(k, lambda v: b(v) // 2 == 2)
        highest = Position(tuple(nets), s, ZERO, d)
        carry = self.positive(carries[0]) if carries else ZERO
        return Word(self.netlist.chain(carry, (lowest, highest), carry=True), n, n, shift)

    def absorb(self, word: Word, other: Word | None, raw: Sequence[Literal], carry: Sequence[Literal], offset: int = 0) -> Word:
        """One chain: word + other + raw literals + carry literal + offset. A table holds all but the word and the carry."""
        second = other or NOTHING
        nets = (*second.bits, *(net for net, _ in raw))
        signs = [negative for _, negative in raw]
        k = len(second.bits)
        table_top = second.top + len(raw) + offset
        top = word.top + table_top + len(carry)
        positions = []
        for i in range(max(len(word.bits), width(table_top))):
            own = word.bits[i] if i < len(word.bits) else ZERO
            if raw or offset:
                inputs: tuple[int, ...] = nets
                table = table_of(len(nets), lambda v, i=i: (number(v[:k]) + sum(map(literal_value, v[k:], signs)) + offset) >> i)  # type: ignore[misc]
            else:
                inputs, table = ((nets[i],), 0b10) if i < k else ((), 0)
            positions.append(adding(inputs, table, own))
        outs = self.netlist.chain(self.positive(carry[0]) if carry else ZERO, positions, carry=width(top) > len(positions))
        shift = word.shift + second.shift + offset + sum(signs) + sum(negative for _, negative in carry)
        return Word(outs[: width(top)], top, word.count + second.count + len(raw) + len(carry), shift)

    def three(self, a: Word, b: Word, c: Word, single: Sequence[Literal]) -> Word:
        """a + b + c + at most two literals in one chain of two LUT levels."""
        nets = [self.positive(literal) for literal in single]
        top = a.top + b.top + c.top + len(single)
        moved = nets[0] if nets else ZERO
        positions = []
        for k in range(width(top)):
            here = [word.bits[k] for word in (a, b, c) if k < len(word.bits)]
            inputs = (*here, *([moved] if moved != ZERO else []))
            parity = table_of(len(inputs), lambda v: sum(v))
            side = self.netlist.new() if len(here) >= 2 else None
            many = len(here)
            second = table_of(len(inputs), lambda v, many=many: sum(v[:many]) >= 2) if side is not None else None  # type: ignore[misc]
            # What is alone in its position goes through S, with nothing to add to it.
            own = moved if len(inputs) > 1 else ZERO
            positions.append(Position(inputs, parity, own, second, side))
            moved = side if side is not None else ZERO
        outs = self.netlist.chain(nets[1] if len(nets) > 1 else ZERO, positions, carry=False)
        shift = a.shift + b.shift + c.shift + sum(negative for _, negative in single)
        return Word(outs, top, a.count + b.count + c.count + len(single), shift)

    def add(
        self, own: Sequence[int], word: Word, sign: int, raw: Sequence[Literal], carry: Sequence[Literal], constant: int = 0
    ) -> tuple[int, ...]:  # fmt: skip
        """own + sign * (sum of the word's literals) + raw and carry literals' signed nets + constant, modulo 2^len(own).

        A literal's signed net is +net, or -net if negative. The table of position i takes what bit i needs of the word and of the raw ones.
        """
        nets, k, signs = (*word.bits, *(net for net, _ in raw)), len(word.bits), [negative for _, negative in raw]
        constant -= sign * word.shift + sum(negative for _, negative in carry)
        values = [
            sign * number([v >> i & 1 for i in range(k)])
            + sum((-1 if negative else 1) * (v >> (k + i) & 1) for i, negative in enumerate(signs))
            + constant
            for v in range(1 << len(nets))
        ]
        if not own or (not carry and all(value % (1 << len(own)) == 0 for value in values)):
            return tuple(own)
        positions = []
        for i, net in enumerate(own):
            inputs, table = reduced(nets, sum((value >> i & 1) << v for v, value in enumerate(values)))
            if len(inputs) > RAW:
                inputs, table = (self.netlist.lut(inputs, table),), 0b10
            positions.append(adding(inputs, table, net))
        return self.netlist.chain(self.positive(carry[0]) if carry else ZERO, positions, carry=False)


def adding(inputs: Sequence[int], table: int, own: int) -> Position:
    """The position that adds a function of `inputs` to the net `own`."""
    if own > ONE:
        return Position(*reduced((*inputs, own), table | ~table % (1 << (1 << len(inputs))) << (1 << len(inputs))), own)
    assert own == ZERO
    return Position(*reduced(inputs, table), ZERO)


def parts(literals: Sequence[Literal], single: int, sizes: Sequence[int]) -> tuple[list[Literal], list[list[Literal]]]:
    """`single` literals, positive if they can be, and groups of the others that have their share of the positive ones."""
    rest = sorted(literals, key=lambda literal: literal[1])
    taken, rest = rest[:single], rest[single:]
    groups: list[list[Literal]] = [[] for _ in sizes]
    for literal in rest:
        emptiest = min((len(group) / size, k) for k, (group, size) in enumerate(zip(groups, sizes, strict=True)) if len(group) < size)[1]
        groups[emptiest].append(literal)
    return taken, groups


def split(
    literals: Sequence[Literal], word: int, raw: int, carry: int
) -> tuple[tuple[list[Literal], list[Literal], list[Literal]], list[Literal]]:
    """((literals of a second word, raw ones, carry), the rest): the carry positive if it can be, the raw ones negative if they can be."""
    rest = sorted(literals, key=lambda literal: literal[1])  # positive ones first
    carried, rest = rest[:carry], rest[carry:]
    tabled = rest[len(rest) - raw :]
    rest = rest[: len(rest) - raw]
    step = len(rest) / word if word else 1.0
    chosen = {int(k * step) for k in range(word)}  # evenly, so that both parts have their positive ones
    return ([rest[k] for k in sorted(chosen)], tabled, carried), [x for k, x in enumerate(rest) if k not in chosen]
