"""The moves of the annealing, compiled: a row into another group, two rows changing places, a group under another parent."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
from __future__ import annotations

import numpy as np
from numba import njit

from arbonn.hw.cmvm.prices import group_price

# The arrays are those of `tree.Tree`, and `free`: a stack of unused groups, its height first.


@njit(cache=True)
def _depth(row, parent, home):
    """Final adders between a row and the zero row's child above it."""
    steps, zero = 0, len(home)
    while parent[home[row]] != zero:
        row = parent[home[row]]
        steps += 1
    return steps


@njit(cache=True)
def _above(row, other, parent, home):
    """How many steps `row` is above `other`, 0 for the same row, -1 if it is not."""
    steps, zero = 0, len(home)
    while other != zero:
        if other == row:
            return steps
        other = parent[home[other]]
        steps += 1
    return -1


@njit(cache=True)
def _height(row, parent, home, broods):
    """Steps to the lowest row below."""
    most = 0
    if broods[row]:
        for other in range(len(home)):
            most = max(most, _above(row, other, parent, home))
    return most


@njit(cache=True)
def _relocate(row, to, new_parent, parent, size, members, home, broods, free):
    """Puts a row into group `to`, or into a new one (to = -1); returns (group it left, that group's parent, group it is in)."""
    if to < 0:
        free[0] -= 1
        to = free[1 + free[0]]
        parent[to] = new_parent
        broods[new_parent] += 1
    left = home[row]
    old_parent = parent[left]
    members[to, size[to]] = row
    size[to] += 1
    home[row] = to
    last = size[left] - 1
    for k in range(last):
        if members[left, k] == row:
            members[left, k] = members[left, last]
    size[left] = last
    if last == 0:
        broods[old_parent] -= 1
        parent[left] = -1
        free[1 + free[0]] = left
        free[0] += 1
    return left, old_parent, to


@njit(cache=True)
def _swap(a, b, parent, size, members, home, broods, touched):
    """Exchanges the places of two rows in the tree; writes the groups that changed to `touched` and returns their number."""
    count = 0
    if broods[a] or broods[b]:
        for g in range(len(parent)):
            if parent[g] == a or parent[g] == b:
                parent[g] = b if parent[g] == a else a
                touched[count] = g
                count += 1
    ga, gb = home[a], home[b]
    ka = kb = 0
    for k in range(size[ga]):
        if members[ga, k] == a:
            ka = k
    for k in range(size[gb]):
        if members[gb, k] == b:
            kb = k
    members[ga, ka], members[gb, kb] = b, a
    home[a], home[b] = gb, ga
    broods[a], broods[b] = broods[b], broods[a]
    touched[count], touched[count + 1] = ga, gb
    return count + 2


@njit(cache=True)
def _random(state):
    """xorshift64* (Vigna, arXiv 1402.6246): the next number, 31 bits."""
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    return np.int64((x * np.uint64(2685821657736338717)) >> np.uint64(33))


@njit(cache=True)
def anneal(moves, heat, state, parent, size, members, home, broods, free, cost, near, limit, group, one_bit, place):
    """`moves` attempts at one temperature; returns the change of the total cost. `place`: what `group_price` takes beside the group."""
    count, zero, gain = len(home), len(home), 0
    signed, from_rows = place[3], limit >= 0
    touched, fresh = np.zeros(len(parent) + 8, dtype=np.int64), np.zeros(len(parent) + 8, dtype=np.int64)
    for _ in range(moves):
        what = _random(state) % 8
        row = _random(state) % count
        other = near[row, _random(state) % near.shape[1]]
        kind, back, back_parent, many = -1, -1, -1, 0
        if what < 4 or not from_rows:
            target, q = -1, other
            if what % 2 == 0:
                target = home[other]
                q = parent[target]
            elif not from_rows or (what == 1 and not signed):
                q = zero
            if target == home[row] or (target >= 0 and size[target] >= group):
                continue
            if q != zero:
                if _above(row, q, parent, home) >= 0:
                    continue
                if _depth(q, parent, home) + 1 + _height(row, parent, home, broods) > limit:
                    continue
            kind = 0
            left, back_parent, target = _relocate(row, target, q, parent, size, members, home, broods, free)
            back = left if size[left] else -1
            touched[0], touched[1], many = left, target, 2
            if one_bit:  # a row that becomes a parent, or is one no more, ends otherwise
                for x in (q, back_parent):
                    if x != zero:
                        touched[many] = home[x]
                        many += 1
        elif what < 7:
            if _above(row, other, parent, home) >= 0 or _above(other, row, parent, home) >= 0:
                continue
            kind = 1
            many = _swap(row, other, parent, size, members, home, broods, touched)
        else:
            g = home[row]
            back_parent = parent[g]
            if other == back_parent or back_parent == zero:
                continue
            depth, legal = _depth(other, parent, home) + 1, True
            for k in range(size[g]):
                x = members[g, k]
                if _above(x, other, parent, home) >= 0 or depth + _height(x, parent, home, broods) > limit:
                    legal = False
            if not legal:
                continue
            kind = 2
            parent[g] = other
            broods[back_parent] -= 1
            broods[other] += 1
            touched[0], touched[1], touched[2], many = g, home[back_parent], home[other], 3
        delta = 0
        for k in range(many):
            g, seen = touched[k], False
            for j in range(k):
                seen = seen or touched[j] == g
            fresh[k] = cost[g]
            if not seen:
                fresh[k] = group_price(g, parent, size, members, broods, one_bit, place)
                delta += fresh[k] - cost[g]
        if delta <= 0 or _random(state) < np.exp(-delta / heat) * 2147483648.0:
            gain += delta
            for k in range(many - 1, -1, -1):  # a group that was touched twice has its new cost at its first place
                cost[touched[k]] = fresh[k]
        elif kind == 0:
            _relocate(row, back, back_parent, parent, size, members, home, broods, free)
        elif kind == 1:
            _swap(row, other, parent, size, members, home, broods, touched)
        else:
            parent[home[row]] = back_parent
            broods[other] -= 1
            broods[back_parent] += 1
    return gain
