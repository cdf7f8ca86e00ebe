"""Sums against thresholds without the sums: a few LUTs, from the lowest bits up, three bits of each side at a time."""

from __future__ import annotations

from collections.abc import Sequence

from arbonn.hw.cmvm.netlist import LUT_INPUTS, ONE, ZERO, Netlist

CHUNK = 3


def reached(netlist: Netlist, own: Sequence[int], word: Sequence[int], sign: int, bound: int, signed: bool = False) -> int:
    """The net of own + sign * word >= bound, for numbers of nets, lowest bit first; `word` unsigned, `own` in two's complement if `signed`.

    (own + sign * word - bound) / 2^k, rounded down, is found from the low bits up. What the bits below k bring to it is one of a few
    numbers (of two, if `bound` suits), held in as few nets as tell them apart.
    """
    half = 1 << len(own) >> 1 if signed else 0
    reach = (1 << len(word)) - 1
    if bound <= -half - (reach if sign < 0 else 0):
        return ONE
    if bound > (1 << len(own)) - 1 - half + (reach if sign > 0 else 0):
        return ZERO
    states, encoded, at = [0], (), 0  # type: tuple[list[int], tuple[int, ...], int]
    while True:
        left, other = own[at:], word[at:]
        last = _live(left) + _live(other) + len(encoded) <= LUT_INPUTS
        take = max(len(left), len(other))
        if not last:
            take = LUT_INPUTS if not left or not other else CHUNK
            while _live(left[:take]) + _live(other[:take]) + len(encoded) > LUT_INPUTS and take > 1:
                take -= 1
        nets = (*left[:take], *other[:take], *encoded)
        part = bound if last else bound & ((1 << take) - 1)
        values = []
        for v in range(1 << len(nets)):
            mine, rest = v & ((1 << len(left[:take])) - 1), v >> len(left[:take])
            if signed and left and take >= len(left) and mine >> (len(left) - 1):
                mine -= 1 << len(left)
            added, state = rest & ((1 << len(other[:take])) - 1), rest >> len(other[:take])
            total = mine + sign * added + states[min(state, len(states) - 1)] - part
            values.append(int(total >= 0) if last else total >> take)
        if last:
            return netlist.lut(nets, sum(value << v for v, value in enumerate(values)))
        states = sorted(set(values))
        index = [states.index(value) for value in values]
        encoded = tuple(
            netlist.lut(nets, sum((code >> k & 1) << v for v, code in enumerate(index))) for k in range((len(states) - 1).bit_length())
        )
        bound >>= take
        at += take


def _live(nets: Sequence[int]) -> int:
    """Nets that are no constants."""
    return sum(net > ONE for net in nets)


def suits(bound: int, sign: int) -> bool:
    """True when two numbers are enough for what the lowest three bits bring."""
    return bound % (1 << CHUNK) in ((0, 1) if sign < 0 else (0, (1 << CHUNK) - 1))
