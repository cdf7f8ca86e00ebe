"""Which output is computed from which: a tree of rows whose siblings share cores, grown by simulated annealing.

A row is an output. A child is its parent plus a signed sum over the inputs where the two differ; children of one parent in a *group*
share the sum over the inputs that all of them differ in (their core; the signs agree by construction). The root of all is the zero row.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from arbonn.hw.cmvm.anneal import anneal
from arbonn.hw.cmvm.costs import NEVER
from arbonn.hw.cmvm.prices import Array, Prices, Rows, group_price

GROUP = 3  # most rows in a group
CHUNKS = 100  # steps of the temperature, and chances to report and to stop
HOT, COLD = 8.0, 0.4  # in units of a cost of one LUT
NEAR = 24  # neighbours of a row that moves are drawn from


@dataclass(eq=False)
class Tree:
    """Groups: `parent[g]` (-1: unused), `size[g]`, `members[g]`. `home[r]`: row r's group; `broods[r]`: groups that have it as parent."""

    parent: Array
    size: Array
    members: Array
    home: Array
    broods: Array

    def copy(self) -> Tree:
        return Tree(self.parent.copy(), self.size.copy(), self.members.copy(), self.home.copy(), self.broods.copy())

    def groups(self) -> list[tuple[int, list[int]]]:
        """(parent, members) of every group, parents before the groups of their children."""
        waiting = [(int(p), self.members[g, : self.size[g]].tolist()) for g, p in enumerate(self.parent) if p >= 0]
        ready, done = [], {len(self.home)}
        while waiting:
            now = [group for group in waiting if group[0] in done]
            assert now, "a cycle in the tree"
            ready += now
            done |= {row for _, members in now for row in members}
            waiting = [group for group in waiting if group not in now]
        return ready


def first_tree(rows: Rows, limit: int) -> Tree:
    """Every row a group of its own, grown like a least spanning tree: each under the nearest row that is there and high enough.

    The zero row is there from the start. A layer of -1 and 1 grows from the row that the others are nearest to. limit < 0: all rows under
    the zero row.
    """
    count, distance = rows.count, rows.distance
    parents, depth = np.full(count, count), np.zeros(count, dtype=np.int64)
    if limit >= 0:
        inside = np.zeros(count, dtype=bool)
        nearest, above = distance[:count, count].copy(), np.full(count, count)
        row = int(distance[:count, :count].sum(axis=1).argmin()) if rows.signed else int(nearest.argmin())
        while True:
            inside[row], parents[row] = True, above[row]
            depth[row] = 0 if above[row] == count else depth[above[row]] + 1
            if inside.all():
                break
            if depth[row] < limit:
                closer = (distance[row, :count] < nearest) & ~inside
                nearest[closer], above[closer] = distance[row, :count][closer], row
            row = int(np.where(inside, np.iinfo(np.int64).max, nearest).argmin())
    spare = count + 2
    members, size, parent = np.zeros((spare, GROUP), dtype=np.int64), np.zeros(spare, dtype=np.int64), np.full(spare, -1)
    members[:count, 0], size[:count], parent[:count] = np.arange(count), 1, parents
    return Tree(parent, size, members, np.arange(count), np.bincount(parents, minlength=count + 1).astype(np.int64))


@dataclass(frozen=True, eq=False)
class Found:
    """A tree, its estimated cost, the moves that were tried, and whether time was over before the last.

    possible   every word is there by its level.
    """

    tree: Tree
    cost: int
    moves: int
    stopped: bool
    possible: bool


def grow(
    rows: Rows, prices: Prices, *, limit: int, one_bit: bool, moves: int, seconds: float, seed: int,
    report: Callable[[float], None] = lambda done: None,
) -> Found:  # fmt: skip
    """The cheapest tree of `moves` attempts, the same for a seed; if `seconds` are over before that, the best so far.

    limit   most final adders in a row; negative: every row straight under the zero row.
    """
    began = time.monotonic()
    tree, count, costs = first_tree(rows, limit), rows.count, prices.costs
    near = np.ascontiguousarray(rows.distance[:count, :count].argsort(axis=1, kind="stable")[:, 1 : NEAR + 1])
    place = (
        rows.distance, rows.sets, rows.inputs, rows.signed, costs.popcounts, costs.extensions, prices.by, prices.leaf, prices.direct
    )  # fmt: skip
    state = np.array([(seed * 2 + 1) * 0x9E3779B97F4A7C15 & ((1 << 64) - 1)], dtype=np.uint64)

    def priced(tree: Tree) -> Array:
        groups = range(len(tree.parent))
        found = [group_price(g, tree.parent, tree.size, tree.members, tree.broods, one_bit, place) for g in groups]
        return np.array(found, dtype=np.int64)

    cost = priced(tree)
    total = int(cost.sum())
    best, least, done, stopped = tree.copy(), total, 0, False
    unused = np.flatnonzero(tree.parent < 0)
    free = np.zeros(len(tree.parent) + 1, dtype=np.int64)
    free[0], free[1 : 1 + len(unused)] = len(unused), unused
    for chunk in range(CHUNKS if near.shape[1] else 0):
        heat = (costs.cell + costs.phys) * HOT * (COLD / HOT) ** (chunk / (CHUNKS - 1))
        total += anneal(
            moves // CHUNKS, heat, state, tree.parent, tree.size, tree.members, tree.home, tree.broods, free, cost, near, limit, GROUP,
            one_bit, place,
        )  # fmt: skip
        done += moves // CHUNKS
        if total < least:
            best, least = tree.copy(), total
        report((chunk + 1) / CHUNKS)
        if time.monotonic() - began > seconds and chunk < CHUNKS - 1:
            stopped = True
            break
    final = priced(best)
    assert int(final.sum()) == least, "the search lost count of its cost"
    return Found(best, least, done, stopped, bool(final.max() < NEVER))
