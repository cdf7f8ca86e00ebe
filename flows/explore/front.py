"""Pareto fronts and hypervolumes of points whose objectives are all to be minimised."""

from __future__ import annotations

from collections.abc import Sequence

Vector = tuple[float, ...]


def dominates(a: Vector, b: Vector) -> bool:
    """a is nowhere worse than b, and somewhere better."""
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def front_of(vectors: Sequence[Vector]) -> list[int]:
    """Indices of the vectors that none dominates; of equal ones the first."""
    seen = set[Vector]()
    result = []
    for k, vector in enumerate(vectors):
        if vector not in seen and not any(dominates(other, vector) for other in vectors):
            result.append(k)
        seen.add(vector)
    return result


def hypervolume(vectors: Sequence[Vector], reference: Vector) -> float:
    """The volume that is dominated by `vectors` and bounded by `reference`; what is not better than it in all objectives adds nothing.

    Slices along the last objective (While, Hingston, Barone, Huband: A faster algorithm for calculating hypervolume, 2006, section II).
    """
    inside = sorted({v for v in vectors if all(x < r for x, r in zip(v, reference, strict=True))}, key=lambda v: v[-1])
    if len(reference) == 1:
        return reference[0] - inside[0][0] if inside else 0.0
    total, ends = 0.0, [*(v[-1] for v in inside[1:]), reference[-1]]
    for k, end in enumerate(ends[: len(inside)]):
        if end > inside[k][-1]:
            total += (end - inside[k][-1]) * hypervolume([v[:-1] for v in inside[: k + 1]], reference[:-1])
    return total
