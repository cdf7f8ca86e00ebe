"""What a search found, as data."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from arbonn.flows.results import Result

FOUND = "explore.json"  # in the folder of a search


class FoundPoint(BaseModel):
    """A point of a search: the choice taken on each axis, what was measured, and how far up the ladder.

    `refused`: why it is no design (does not fit, misses its clock, differs); `broken`: the constraints that it misses.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    point: dict[str, str]
    metrics: dict[str, float]
    rung: str
    refused: str | None
    broken: list[str]
    folder: str


class ExploreResult(Result):
    """A search. `trials`: points known; `new`: of this run; `stored`: those of them whose every stage was found in the store.

    `hypervolume`: what the front dominates, bounded by `reference`; `lost`: points that could not be measured, and why.
    """

    name: str
    trials: int
    new: int
    stored: int
    size: int
    objectives: dict[str, str]
    constraints: dict[str, str]
    front: list[FoundPoint]
    hypervolume: float
    reference: dict[str, float]
    sampler: str
    seed: int
    seeds: list[int]
    lost: list[str]
    points: list[FoundPoint]
    versions: dict[str, str | None]
    seconds: float
    folder: str
