"""A whole layer: y = b @ W for a constant W of -1, 0 and 1 and bits b, whole sums or one bit each, as a checked netlist."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arbonn.errors import InputError
from arbonn.hw.cmvm.costs import costs, width
from arbonn.hw.cmvm.netlist import LUT_INPUTS, Netlist
from arbonn.hw.cmvm.prices import Prices, Rows, leaf_prices
from arbonn.hw.cmvm.tree import CHUNKS, Found, grow
from arbonn.hw.cmvm.writer import Writer
from arbonn.hw.datatypes import Integers

VECTORS = 1000  # random ones that every netlist is checked on, beside the extremes
MOVES_A_ROW = 30_000
ADDERS = 3  # most final adders in a row
LEVELS = 8  # without a bound: a few more than log2 of the inputs, and at least so many, where the search finds such a netlist
ENDS = 4  # levels that the ends of rows may take, one more than was seen


@dataclass(frozen=True, eq=False)
class Layer:
    """A netlist that was checked on `verified` vectors. `estimate`: what the search thought it takes, in LUT cells + phys.

    ranges (outputs, 2): least and greatest y. `stopped`: time was over before the search was.
    """

    netlist: Netlist
    ranges: Integers
    one_bit: bool
    estimate: int
    moves: int
    stopped: bool
    verified: int


def rows_of(weights: Integers) -> Rows:
    """The rows of a matrix (inputs, outputs) with their distances."""
    inputs, outputs = weights.shape
    signed = bool((weights != 0).all())
    columns = np.concatenate([weights == (-1 if signed else 1)] + ([weights == -1] if (weights < 0).any() and not signed else []))
    bits = np.zeros((outputs + 1, -(-len(columns) // 64) * 64), dtype=np.uint8)
    bits[:outputs, : len(columns)] = columns.T
    few = bits.astype(np.float32)
    equal = (few @ few.T).astype(np.int64)  # exact below 2^24, and many times faster than a product of integers
    ones = np.diagonal(equal)
    distance = ones[:, None] + ones[None, :] - 2 * equal
    if signed:
        distance[-1, :-1] = distance[:-1, -1] = inputs
    sets = np.packbits(bits, axis=1, bitorder="little").view(np.uint64).copy()
    return Rows(inputs, sets, distance, signed, signed or not bool((weights < 0).any()))


def prices_for(rows: Rows, weights: Integers, levels: int | None) -> Prices:
    """Cost tables for a layer whose words are there after `levels` LUT levels (None: whenever)."""
    distance = rows.distance
    near = int(distance[:-1, :-1].max(initial=0)) if rows.from_rows else int(distance.max(initial=0))
    reach = min(REACH, max(near, 7))
    table = costs(max(rows.inputs, reach), reach, levels)
    by = table.levels
    unit = table.cell + table.phys
    bits = max(width(int(np.abs(weights).sum(axis=0).max(initial=1))), 1)
    end = bits - 1 if rows.signed else bits
    ends = np.zeros((3, 16), dtype=np.int32)
    ends[0] = end * unit
    ends[1] = [(2 if end + w <= 11 else 3) * unit for w in range(16)]
    if (weights < 0).any() and not rows.signed:
        ends[2] = bits * table.cell
    leaf, direct = leaf_prices(table.extensions, table.popcounts, by, ends, reach, 3)
    return Prices(table, by, leaf, direct)


REACH = 128  # most bits of a word with a core


def build(
    weights: Integers, thresholds: Integers | None = None, *, levels: int | None = None, seconds: float = 60.0, seed: int = 0,
    moves: int | None = None, report: Callable[[float], None] = lambda done: None,
) -> Layer:  # fmt: skip
    """The layer y = b @ weights for b of 0 and 1; with thresholds (outputs,), the bits y >= threshold.

    levels   bound on LUT levels. Raises InputError where none is found that keeps it.
    moves    of the search, by default 30,000 a row: with all of them done the result depends on `seed` alone; after `seconds` it is the
             best so far.
    Bits of at most 6 connections are one table each: no search asks for them.
    """
    if thresholds is not None and (single := single_tables(weights)).any():
        return _beside_tables(
            weights, thresholds, single, levels=levels, seconds=seconds, seed=seed,
            moves=None if moves is None else moves * int((~single).sum()) // len(single), report=report,
        )  # fmt: skip
    began, rows = time.monotonic(), rows_of(weights)
    wanted = MOVES_A_ROW * rows.count if moves is None else moves
    deepest = ADDERS if rows.from_rows else -1
    # A row is its words' level, then a level or two for each final adder above it and for its end: (adders, level of words) to try.
    free: list[list[tuple[int, int | None]]] = [[(deepest, None)]]
    tries = free
    aim = levels or max(LEVELS, width(rows.inputs) + 3)
    if levels is not None:
        tries = [
            [(limit, by) for by in range(aim - max(limit, 0), max(0, aim - max(limit, 0) - ENDS), -1)]
            for limit in range(min(0, deepest), deepest + 1)
        ]
    elif rows.from_rows:
        tries = [*free, [(limit, by) for limit in (2, 1) for by in range(aim - limit, max(0, aim - limit - ENDS), -1)]]
    best: Layer | None = None
    for number, rivals in enumerate(tries):
        if levels is None and best is not None and best.netlist.counts().levels <= aim:
            break
        for limit, by in rivals:
            prices = prices_for(rows, weights, by)
            found = grow(
                rows, prices, limit=limit, one_bit=thresholds is not None, moves=max(CHUNKS, wanted // len(tries)),
                seconds=max(0.0, (seconds - time.monotonic() + began) / (len(tries) - number)), seed=seed,
                report=lambda done, number=number: report((number + done) / len(tries)),  # type: ignore[misc]
            )  # fmt: skip
            if not found.possible:
                continue
            layer = finished(weights, thresholds, rows, prices, found, seed)
            if by is None or layer.netlist.counts().levels <= aim:
                if best is None or levels is None or layer.estimate < best.estimate:
                    best = layer
                break  # fewer levels for the words only cost more
    if best is None:
        raise InputError(f"{levels} levels", found="no netlist with so few was found", allowed="a bound that leaves room for the sums")
    return best


def single_tables(weights: Integers) -> NDArray[np.bool_]:
    """Which outputs of a matrix (inputs, outputs) a single LUT gives, as bits."""
    return np.count_nonzero(weights, axis=0) <= LUT_INPUTS


def _beside_tables(
    weights: Integers, thresholds: Integers, single: NDArray[np.bool_], *, levels: int | None, seconds: float, seed: int,
    moves: int | None, report: Callable[[float], None],
) -> Layer:  # fmt: skip
    """A layer some of whose bits are single tables: these, and a layer of the others."""
    netlist = Netlist(len(weights))
    rest: Layer | None = None
    words: Iterator[tuple[int, ...]] = iter(())
    if not single.all():
        rest = build(weights[:, ~single], thresholds[~single], levels=levels, seconds=seconds, seed=seed, moves=moves, report=report)
        words = iter(netlist.include(rest.netlist, range(2, 2 + len(weights))))
    searched = netlist.counts().luts
    for column, bound, one in zip(weights.T, thresholds.tolist(), single.tolist(), strict=True):
        if not one:
            netlist.outputs.append(next(words))
            continue
        inputs = np.flatnonzero(column)
        sums = [sum(int(column[i]) * (v >> k & 1) for k, i in enumerate(inputs)) for v in range(1 << len(inputs))]
        net = netlist.lut((inputs + 2).tolist(), sum((total >= bound) << v for v, total in enumerate(sums)))
        netlist.outputs.append((net,))
    ranges = np.stack([weights.clip(None, 0).sum(axis=0), weights.clip(0, None).sum(axis=0)], axis=1)
    verified = check(netlist, weights, thresholds, seed)
    estimate = 2 * (netlist.counts().luts - searched)  # of LUT cells and LUTs of the device
    if rest is None:
        return Layer(netlist, ranges, True, estimate, 0, False, verified)
    return Layer(netlist, ranges, True, estimate + rest.estimate, rest.moves, rest.stopped, verified)


def finished(weights: Integers, thresholds: Integers | None, rows: Rows, prices: Prices, found: Found, seed: int) -> Layer:
    """The netlist of a tree, checked against the matrix."""
    netlist = Writer(weights, thresholds, rows, prices, found).write()
    ranges = np.stack([weights.clip(None, 0).sum(axis=0), weights.clip(0, None).sum(axis=0)], axis=1)
    verified = check(netlist, weights, thresholds, seed)
    return Layer(netlist, ranges, thresholds is not None, found.cost, found.moves, found.stopped, verified)


def vectors_for(weights: Integers, seed: int) -> NDArray[np.uint8]:
    """Vectors to check on: none, all, each input alone, each output's least and greatest sum, and random ones of every density."""
    inputs = len(weights)
    random = np.random.default_rng(seed)
    density = random.random((VECTORS, 1))
    rows = [np.zeros((1, inputs)), np.ones((1, inputs)), np.eye(inputs), (weights > 0).T, (weights < 0).T]
    return np.concatenate([*rows, random.random((VECTORS, inputs)) < density]).astype(np.uint8)


def check(netlist: Netlist, weights: Integers, thresholds: Integers | None, seed: int) -> int:
    """Compares the netlist with the matrix; returns the number of vectors."""
    vectors = vectors_for(weights, seed)
    assert np.abs(weights).sum(axis=0).max(initial=0) < 1 << 53, "sums that a float64 does not hold"
    sums = (vectors.astype(np.float64) @ weights).astype(np.int64)  # exact, and many times faster than a product of integers
    words = netlist.evaluate(vectors)
    low = weights.clip(None, 0).sum(axis=0)
    for row, word in enumerate(words):
        if thresholds is not None:
            expected, seen = (sums[:, row] >= thresholds[row]).astype(np.int64), word[:, 0].astype(np.int64)
        else:
            seen = word.astype(np.int64) @ (1 << np.arange(word.shape[1]))
            if low[row] < 0 and word.shape[1]:
                seen -= word[:, -1].astype(np.int64) << word.shape[1]
            expected = sums[:, row]
        wrong = np.flatnonzero(seen != expected)
        assert not len(wrong), f"output {row}, vector {wrong[0]}: {seen[wrong[0]]} in place of {expected[wrong[0]]}"
    return len(vectors)
