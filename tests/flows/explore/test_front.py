"""Fronts and hypervolumes against their definitions."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from arbonn.flows.explore.front import Vector, dominates, front_of, hypervolume

SIDE = 5
vectors = st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[st.integers(0, SIDE) for _ in range(n)]), max_size=8))


@given(vectors)
def test_the_front_is_what_none_dominates_each_once(points: list[Vector]) -> None:
    front = [points[k] for k in front_of(points)]
    assert len(set(front)) == len(front)
    assert set(front) == {p for p in points if not any(dominates(q, p) for q in points)}


@given(vectors)
def test_the_hypervolume_counts_the_unit_cells_that_are_dominated(points: list[Vector]) -> None:
    size = len(points[0]) if points else 1
    cells = sum(any(all(x <= c for x, c in zip(p, cell, strict=True)) for p in points) for cell in product(range(SIDE), repeat=size))
    assert hypervolume(points, (SIDE,) * size) == cells


@given(vectors)
def test_only_the_front_counts(points: list[Vector]) -> None:
    size = len(points[0]) if points else 1
    assert hypervolume([points[k] for k in front_of(points)], (SIDE,) * size) == hypervolume(points, (SIDE,) * size)
