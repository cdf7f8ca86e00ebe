"""A layer y = x @ W of few-bit inputs x and integer weights W, from layers of bits: one for each bit of x, added by place.

Weights of -1, 0 and 1 are a matrix of their own. Two values, lo and hi, are lo + (hi - lo) * ones: a matrix of the rarer value, which costs
what its connections cost, and one sum of all inputs for all rows (SBNN, ECML PKDD 2023, arXiv 2306.13515, has such weights). Other
weights are matrices of signed binary digits (the canonical ones: of two that follow each other one is 0).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from arbonn.hw.cmvm.compare import reached
from arbonn.hw.cmvm.layer import Layer, build, check
from arbonn.hw.cmvm.netlist import ZERO, Netlist
from arbonn.hw.cmvm.sums import adding
from arbonn.hw.datatypes import Integers, smallest

INF = float("inf")


@dataclass(frozen=True)
class Number:
    """Nets, lowest bit first, of a number low .. high; in two's complement if low < 0."""

    nets: tuple[int, ...]
    low: int
    high: int

    def bit(self, k: int) -> int:
        """The net of bit k, of any k."""
        if k < len(self.nets):
            return self.nets[k] if k >= 0 else ZERO
        return self.nets[-1] if self.low < 0 else ZERO


@dataclass(frozen=True)
class Term:
    """sign * number * 2^place."""

    number: Number
    place: int = 0
    sign: int = 1


NOTHING = Term(Number((), 0, 0))


@dataclass(frozen=True, eq=False)
class Parts:
    """A matrix as others: W[:, r] = sum of factor * columns[:, c] over (c, factor) of recipes[r]; columns of -1, 0 and 1."""

    columns: Integers
    recipes: tuple[tuple[tuple[int, int], ...], ...]


def parts_of(weights: Integers) -> Parts:
    """The matrices of bits that a matrix of integers (inputs, outputs) is made of."""
    count, values = weights.shape[1], np.unique(weights)
    if np.isin(weights, (-1, 0, 1)).all():
        return Parts(weights, tuple(((r, 1),) for r in range(count)))
    if len(values) <= 2:
        rare, common = (
            sorted((int(v) for v in values), key=lambda v: int((weights == v).sum())) if len(values) == 2 else (int(values[0]), 0)
        )
        ones = (weights == rare).astype(np.int64)
        if common == 0:
            return Parts(ones, tuple(((r, rare),) for r in range(count)))
        every = np.ones((len(weights), 1), dtype=np.int64)
        return Parts(np.concatenate([ones, every], axis=1), tuple(((r, rare - common), (count, common)) for r in range(count)))
    found, recipes, rest, place = list[Integers](), [list[tuple[int, int]]() for _ in range(count)], weights.copy(), 0
    while rest.any():
        digit = np.where(rest % 2 == 0, 0, 2 - rest % 4)  # -1 or 1: what is left is a multiple of 4
        for r in np.flatnonzero(digit.any(axis=0)):
            recipes[r].append((len(found), 1 << place))
            found.append(digit[:, r])
        rest, place = (rest - digit) // 2, place + 1
    return Parts(np.stack(found, axis=1), tuple(map(tuple, recipes)))


def weighted(
    weights: Integers, places: Sequence[int], thresholds: Integers | None = None, *, moves: int, seed: int = 0, seconds: float = INF,
    report: Callable[[float], None] = lambda done: None,
) -> Layer:  # fmt: skip
    """The layer y = x @ weights for inputs x = sum of places[j] * bit j; with thresholds (outputs, T), bit r * T + t is y[r] >= one.

    weights   (inputs, outputs), integers.    places  plus or minus powers of two; the netlist's inputs are the bits of x[0], then x[1], ...
    moves     of the search, for each column of the matrices of bits.    seconds, seed  as `layer.build`'s.
    """
    parts, inputs = parts_of(weights), len(weights)
    plain = tuple(places) == (1,) and all(len(recipe) == 1 and recipe[0][1] == 1 for recipe in parts.recipes)
    if plain:
        matrix = weights if thresholds is None else np.repeat(weights, thresholds.shape[1], axis=1)
        bounds = None if thresholds is None else thresholds.reshape(-1)
        return build(matrix, bounds, seconds=seconds, seed=seed, moves=moves * matrix.shape[1], report=report)
    part = build(parts.columns, seconds=seconds, seed=seed, moves=moves * parts.columns.shape[1], report=report)
    adder = Adder(Netlist(inputs * len(places)))
    planes = [adder.netlist.include(part.netlist, range(2 + j, 2 + inputs * len(places), len(places))) for j in range(len(places))]
    columns = []
    for c, (low, high) in enumerate(part.ranges.tolist()):
        terms = [power(Number(plane[c], low, high), place) for plane, place in zip(planes, places, strict=True)]
        columns.append(adder.total(terms))
    shared: dict[tuple[int, int], Term] = {}
    words, ranges = list[tuple[int, ...]](), list[tuple[int, int]]()
    for r, recipe in enumerate(parts.recipes):
        for c, factor in recipe:
            if (c, factor) not in shared:
                shared[c, factor] = adder.times(columns[c], factor)
        terms = [shared[each] for each in recipe]
        if thresholds is None:
            whole = adder.plain(adder.total(terms))
            words.append(whole.nets)
            ranges.append((whole.low, whole.high))
        else:
            words += [(net,) for net in adder.reached(terms, [int(t) for t in thresholds[r]])]
            ranges += [(0, 1)] * thresholds.shape[1]
    adder.netlist.outputs = words
    expanded = np.kron(weights, np.array(places, dtype=np.int64)[:, None])
    bounds = None
    if thresholds is not None:
        expanded, bounds = np.repeat(expanded, thresholds.shape[1], axis=1), thresholds.reshape(-1)
    verified = check(adder.netlist, expanded, bounds, seed)
    counts = adder.netlist.counts()
    return Layer(
        adder.netlist, np.array(ranges, dtype=np.int64).reshape(-1, 2), thresholds is not None, counts.luts + counts.phys, part.moves,
        part.stopped, verified,
    )  # fmt: skip


def power(number: Number, factor: int) -> Term:
    """A number times plus or minus a power of two."""
    return Term(number, abs(factor).bit_length() - 1, 1 if factor > 0 else -1)


class Adder:
    """Adds numbers in a netlist."""

    def __init__(self, netlist: Netlist) -> None:
        self.netlist = netlist

    def sum(self, a: Number, b: Number, place: int, sign: int) -> Number:
        """a + sign * b * 2^place: one chain, which begins where b does."""
        ends = sorted((sign * b.low << place, sign * b.high << place))
        low, high = a.low + ends[0], a.high + ends[1]
        if b.low == b.high == 0:
            return a
        bits = smallest(low, high).bits
        table = 0b10 if sign > 0 else 0b01
        positions = [adding((b.bit(k - place),), table, a.bit(k)) for k in range(place, bits)]
        outs = self.netlist.chain(int(sign < 0), positions, carry=False) if positions else ()
        return Number((*(a.bit(k) for k in range(min(place, bits))), *outs), low, high)

    def total(self, terms: Sequence[Term]) -> Term:
        """The sum of terms by halves, so that few adders stand in a row; what is left to do with it, sign and place, costs nothing here."""
        if len(terms) < 2:
            return terms[0] if terms else NOTHING
        a, b = self._halves(terms)
        return Term(self.sum(a.number, b.number, b.place - a.place, a.sign * b.sign), a.place, a.sign)

    def _halves(self, terms: Sequence[Term]) -> tuple[Term, Term]:
        """The sums of both halves, the one of the lower place first."""
        ordered = sorted(terms, key=lambda term: term.place)
        half = len(ordered) // 2
        a, b = self.total(ordered[:half]), self.total(ordered[half:])
        return (a, b) if a.place <= b.place else (b, a)

    def times(self, term: Term, factor: int) -> Term:
        """A term times a constant, by its signed binary digits."""
        terms, rest, place = [], factor, 0
        while rest:
            digit = 0 if rest % 2 == 0 else 2 - rest % 4
            if digit:
                terms.append(Term(term.number, place, digit))
            rest, place = (rest - digit) // 2, place + 1
        found = self.total(terms)
        return Term(found.number, found.place + term.place, found.sign * term.sign)

    def plain(self, term: Term) -> Number:
        """The number that a term is."""
        number = term.number
        if term.sign < 0:
            number = self.sum(NOTHING.number, number, 0, -1)
        return Number((*[ZERO] * term.place, *number.nets), number.low << term.place, number.high << term.place)

    def reached(self, terms: Sequence[Term], thresholds: Sequence[int]) -> list[int]:
        """The nets of sum >= each threshold: the last addition is part of the comparison where there is one threshold alone."""
        if len(terms) < 2 or len(thresholds) > 1:
            a, b = self.total(terms), NOTHING
        else:
            a, b = self._halves(terms)
        own, sign, bits, place = a.number, a.sign * b.sign, list(b.number.nets), max(b.place - a.place, 0)
        moved = 0
        if b.number.low < 0:  # its sign bit inverted: the number and 2^(bits - 1), without a sign
            bits[-1], moved = self.netlist.inverted(bits[-1]), 1 << (len(bits) - 1 + place)
        found = []
        for threshold in thresholds:
            bound = -(-threshold >> a.place) if a.sign > 0 else 1 - (-(-threshold >> a.place))  # -s >= t is not s >= 1 - t
            net = reached(self.netlist, own.nets, [*[ZERO] * place, *bits], sign, bound + sign * moved, own.low < 0)
            found.append(net if a.sign > 0 else self.netlist.inverted(net))
        return found
