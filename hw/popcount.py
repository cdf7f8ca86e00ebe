"""Counting ones: a binary product costs what its count costs, so the count's structure is one of which synthesis makes few cells."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Value


def popcount(bits: Sequence[Value]) -> Value:
    """How many of `bits` (one or more, each one bit) are set: unsigned, as wide as their number needs.

    A tree of adders on full adders, in which each adder takes one bit as its carry-in: two counts of n bits and one bit more are a count of
    2 n + 1. Of a sum written with `+` alone synthesis makes a tree of its own, whatever the shape it was written in, with more cells on
    every family: `python -m arbonn.flows.lut_table`.
    """
    if len(bits) == 1:
        return bits[0]
    if len(bits) == 2:
        return Cat(bits[0] ^ bits[1], bits[0] & bits[1])
    if len(bits) == 3:
        a, b, c = bits
        return Cat(a ^ b ^ c, (a & b) | (a & c) | (b & c))
    half = len(bits) // 2
    return with_carry(popcount(bits[1 : half + 1]), popcount(bits[half + 1 :]), bits[0])[: len(bits).bit_length()]


def with_carry(a: Value, b: Value, carry: Value) -> Value:
    """a + b + carry, unsigned, one bit wider than the wider of a and b. One chain: below its lowest position, carry + carry carries."""
    return (Cat(carry, a) + Cat(carry, b))[1:]


def weighted_popcount(planes: Sequence[Sequence[Value]]) -> Value:
    """sum_j 2^j popcount(planes[j]) for one or more planes, each of as many bits. Unsigned, as wide as the greatest sum needs.

    A tree over the planes; the adder that joins two groups takes a bit of the upper group's lowest plane as its carry-in.
    """
    if len(planes[0]) == 1:
        return Cat(*(plane[0] for plane in planes))
    return _joined(planes, 0)


def _joined(planes: Sequence[Sequence[Value]], without: int) -> Value:
    """The same, `without` (0 or 1) of the lowest plane's bits: its first is the carry-in that joins these planes to those below."""
    if len(planes) == 1:
        return popcount(planes[0][without:])
    shift = (len(planes) + 1) // 2
    low, high = _joined(planes[:shift], without), _joined(planes[shift:], 1)
    most = len(planes[0]) * ((1 << len(planes)) - 1) - without
    return Cat(low[:shift], with_carry(low[shift:], high, planes[shift][0]))[: most.bit_length()]
