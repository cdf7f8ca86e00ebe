"""Counting ones: a binary product costs what its count costs, so the count's structure is one of which synthesis makes few cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Signal, Value

LUT_INPUTS = (4, 6)  # of the LUTs for which sums are written
IN_A_ROW = 15  # bits added one after the other for LUTs of 6 inputs, three adders deep; 31 take up to a tenth less, seven deep
READ = 3  # ECP5 after routing: a block RAM gives its word 5.7 ns after the clock, an adder and its wires take about 2


class Pipeline:
    """Registers in a tree of adders, which move when `enable` is high: `count` between its inputs and its sum, of `height` adders in a row.

    Evenly, where a memory's read before the inputs takes as long as `READ` adders. A value of depth d has d adders between it and the sum.
    """

    def __init__(self, m: Module | None, enable: Value, count: int, height: int) -> None:
        self.m, self.enable = m, enable
        self.cuts = Counter(min(height, k * (height + READ) // (count + 1)) for k in range(1, count + 1))

    def after(self, value: Value, depth: int) -> Value:
        """A value made at `depth`, as what is next sees it."""
        return self._held(value, self.cuts[depth])

    def below(self, value: Value, depth: int) -> Value:
        """An input of the tree, as an adder that wants values of `depth` sees it."""
        return self._held(value, sum(count for cut, count in self.cuts.items() if cut >= depth))

    def _held(self, value: Value, count: int) -> Value:
        for _ in range(count):
            assert self.m is not None  # only `PLAIN`, which has no registers, goes without a module
            register = Signal(value.shape(), name="held")
            with self.m.If(self.enable):
                self.m.d.sync += register.eq(value)
            value = register
        return value


PLAIN = Pipeline(None, Const(1), 0, 0)  # no registers


def height(planes: int, count: int, lut_inputs: int = 4) -> int:
    """Adders in a row of `weighted_popcount` of so many planes of `count` bits; planes of one bit are no sum."""
    if planes > 1 and count > 1:
        return 1 + height((planes + 1) // 2, count, lut_inputs)
    if count <= 3:
        return 0
    if lut_inputs == 6:
        return count // 4 if count <= IN_A_ROW else 1 + height(1, count // 2, 6)
    return 1 + height(1, count // 2)


def popcount(bits: Sequence[Value], pipeline: Pipeline = PLAIN, depth: int = 0, lut_inputs: int = 4) -> Value:
    """How many of `bits` (one or more, each one bit) are set: unsigned, as wide as their number needs.

    A tree of adders on full adders, in which each adder takes one bit as its carry-in: two counts of n bits and one bit more are a count of
    2 n + 1. Of a sum written with `+` alone synthesis makes a tree of its own, whatever the shape it was written in, with more cells on
    every family: `python -m arbonn.flows.lut_table`.

    lut_inputs  6: for LUTs of 6 inputs in front of a carry chain (7-series). Up to 15 bits are added to one sum, four in each adder: the
                LUTs of its carry chain add three of them, each of two inputs itself, and the fourth is the carry-in.
    """
    if len(bits) == 1:
        return pipeline.below(bits[0], depth)
    if len(bits) == 2:
        return pipeline.below(Cat(bits[0] ^ bits[1], bits[0] & bits[1]), depth)
    if len(bits) == 3:
        return pipeline.below(full_adder(*bits), depth)
    in_a_row = lut_inputs == 6 and len(bits) <= IN_A_ROW
    taken = min(4, len(bits) - 3) if in_a_row else 1 + (len(bits) - 1) // 2
    carry = pipeline.below(bits[0], depth + 1)
    right = popcount(bits[taken:], pipeline, depth + 1, lut_inputs)
    if not in_a_row:
        left = popcount(bits[1:taken], pipeline, depth + 1, lut_inputs)
    elif taken == 1:
        left = Const(0, 1)
    else:
        left = pipeline.below(popcount(bits[1:taken]), depth + 1)
    total = onto(right, left, carry) if lut_inputs == 6 else with_carry(left, right, carry)
    return pipeline.after(total[: len(bits).bit_length()], depth)


def full_adder(a: Value, b: Value, c: Value) -> Value:
    """a + b + c of three bits, in two."""
    return Cat(a ^ b ^ c, (a & b) | (a & c) | (b & c))


def with_carry(a: Value, b: Value, carry: Value) -> Value:
    """a + b + carry, unsigned, one bit wider than the wider of a and b. One chain: below its lowest position, carry + carry carries."""
    return (Cat(carry, a) + Cat(carry, b))[1:]


def onto(a: Value, b: Value, carry: Value) -> Value:
    """The same, so that yosys gives a CARRY4 the bits of `a` as they are, and what makes those of `b` to its LUTs: a - ~b + carry.

    Of a + b it takes the narrower one for `a`. Below the lowest position, 0 - ~carry + 1 carries.
    """
    total = Cat(Const(0, 1), a) - Cat(~carry, ~b, Const(1, 1)).as_signed()
    return total[1 : max(len(a), len(b)) + 2]


def weighted_popcount(planes: Sequence[Sequence[Value]], pipeline: Pipeline = PLAIN, lut_inputs: int = 4) -> Value:
    """sum_j 2^j popcount(planes[j]) for one or more planes, each of as many bits. Unsigned, as wide as the greatest sum needs.

    A tree over the planes; the adder that joins two groups takes a bit of the upper group's lowest plane as its carry-in.
    """
    if len(planes[0]) == 1:
        return pipeline.below(Cat(*(plane[0] for plane in planes)), 0)
    return _joined(planes, 0, pipeline, 0, lut_inputs)


def _joined(planes: Sequence[Sequence[Value]], without: int, pipeline: Pipeline, depth: int, lut_inputs: int) -> Value:
    """The same, `without` (0 or 1) of the lowest plane's bits: its first is the carry-in that joins these planes to those below."""
    if len(planes) == 1:
        return popcount(planes[0][without:], pipeline, depth, lut_inputs)
    shift = (len(planes) + 1) // 2
    low = _joined(planes[:shift], without, pipeline, depth + 1, lut_inputs)
    high = _joined(planes[shift:], 1, pipeline, depth + 1, lut_inputs)
    most = len(planes[0]) * ((1 << len(planes)) - 1) - without
    upper = with_carry(low[shift:], high, pipeline.below(planes[shift][0], depth + 1))
    return pipeline.after(Cat(low[:shift], upper)[: most.bit_length()], depth)
