"""What a comparison gives back; it is no stage's result, since everything in it is made of results that are kept."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from arbonn.flows.results import Result

Verdict = Literal["seen", "not shown", "contradicted", "smoke: points the claimed way", "smoke: points against", "smoke: no difference"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ArmResult(_Part):
    """One arm: passes in epochs, and of each measure the mean, the standard deviation over seeds, and the value of each seed."""

    arm: str
    method: str
    epochs: int
    passes: float
    seconds: float
    mean: dict[str, float]
    std: dict[str, float]
    values: dict[str, list[float]]


class PairResult(_Part):
    """One comparison: `arm` minus `against`, on the scale that is named; the interval is of 95 %.

    `smallest_effect`: the difference that would have been found with 80 % power, None where no deviation is known.
    """

    arm: str
    against: str
    measure: str
    when: str
    scale: str
    direction: str
    within: float | None
    claim: bool
    pairs: int
    difference: float
    low: float | None
    high: float | None
    p: float
    p_wilcoxon: float
    p_corrected: float
    smallest_effect: float | None
    verdict: Verdict


class CompareResult(Result):
    """A claim's verdict: `seen` needs every comparison of the claim, `contradicted` takes one."""

    name: str
    claim: str
    paper: str
    kind: str
    null: str
    note: str
    needed_seeds: int
    seeds: list[int]
    verdict: Verdict
    sentence: str
    arms: list[ArmResult]
    pairs: list[PairResult]
    date: str
    command: str
    versions: dict[str, str | None]
    trained: int
    seconds: float
