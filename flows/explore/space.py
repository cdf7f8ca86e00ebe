"""A search space as a TOML file: a recipe, the axes along which it is varied, what is wanted of a point, and what it must keep.

name = "digits"
recipe = "../digits.toml"            # relative to this file
seeds = [0, 1]                       # trainings of each point; accuracies are means over them
reference = { accuracy = 0.5, luts = 6000 }   # the point that hypervolumes are measured from
fixed = { "train.tensorboard" = false }       # keys of the recipe that are the same for every point

[axes]                               # a key of the recipe and its values, or named choices that set several keys
"network.sizes" = [[32], [64], [64, 64]]
"fold.target_fps" = [100, 1000]
method = { ste = { "method.name" = "ste" }, sbnn = { "method.name" = "sbnn", "method.ec" = 0.1 } }

[objectives]
accuracy = "max"
luts = "min"

[constraints]
accuracy = ">= 0.9"
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt

from arbonn.errors import RecipeError
from arbonn.flows.explore.front import Vector
from arbonn.flows.explore.metrics import METRICS, unmeasured
from arbonn.flows.recipe import Recipe
from arbonn.settings import Settings, load_toml, nearest, override, parse, read_toml

Point = Mapping[str, str]
"""A point of the space: the name of the choice taken on each axis."""


class SpaceFile(Settings):
    """The file, key by key."""

    name: str = Field(description="the name of the search, and of its folder in build/", pattern=r"^\w[\w.-]{0,63}$")
    recipe: str = Field(description="the recipe that is varied, relative to this file")
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(strict=False, min_length=1, description="seeds of each point's trainings")] = (0,)
    axes: dict[str, Any] = Field(description="keys of the recipe with their values, or named choices of several keys", min_length=1)
    fixed: dict[str, Any] = Field({}, description="keys of the recipe, set alike for every point")
    objectives: dict[str, Literal["max", "min"]] = Field(description="metrics and which way they are better", min_length=1)
    constraints: dict[str, str] = Field({}, description="metrics and the bounds that they keep")
    reference: dict[str, float] = Field(description="a bad value of each objective, from which hypervolumes are measured")
    ladder: Literal["model", "synth", "build", "check"] = Field(
        "synth", description="how far points of the front are measured: cost model, synthesis, place and route, RTL check"
    )
    check_frames: NonNegativeInt = Field(20, description="images through the RTL for each point of the front")


@dataclass(frozen=True)
class Constraint:
    """A bound on a metric; `excess` is positive where it is broken."""

    metric: str
    sign: int  # 1: at most, -1: at least
    bound: float

    def excess(self, value: float) -> float:
        return self.sign * (value - self.bound)


@dataclass(frozen=True)
class Space:
    """A space that was read and checked: every choice of every axis alone gives a legal recipe."""

    file: SpaceFile
    path: Path
    base: Mapping[str, Any]
    axes: Mapping[str, Mapping[str, Mapping[str, Any]]]
    constraints: tuple[Constraint, ...]

    @property
    def size(self) -> int:
        """How many points there are."""
        count = 1
        for choices in self.axes.values():
            count *= len(choices)
        return count

    def points(self) -> list[Point]:
        """All of them, in the order of the file."""
        return [dict(zip(self.axes, names, strict=True)) for names in product(*self.axes.values())]

    def recipe(self, point: Point, seed: int) -> Recipe:
        """The recipe of a point. Raises RecipeError for choices that do not go together."""
        data = dict(self.base)
        for axis, choice in point.items():
            data = override(data, [f"{key}={_toml(value)}" for key, value in self.axes[axis][choice].items()])
        told = ", ".join(f"{axis} = {choice}" for axis, choice in point.items())
        return parse({**data, "seed": seed}, Recipe, f"{self.path}: {told}")

    def vector(self, metrics: Mapping[str, float]) -> Vector:
        """The objectives of a point, each so that less is better."""
        return tuple(-metrics[name] if way == "max" else metrics[name] for name, way in self.file.objectives.items())

    @property
    def folder(self) -> Path:
        """What the recipe's own file names are relative to."""
        return (self.path.parent / self.file.recipe).parent


def load_space(path: Path) -> Space:
    """The space in a file. Raises RecipeError for an empty or contradictory one, or a choice that no recipe allows."""
    file = load_toml(path, SpaceFile)
    base = override(read_toml(path.parent / file.recipe), [f"{key}={_toml(value)}" for key, value in file.fixed.items()])
    for name in (*file.objectives, *file.constraints):
        if name not in METRICS:
            raise RecipeError(
                f"{path}: {name}", found="a metric that is never measured", allowed=", ".join(METRICS), fix=nearest(name, METRICS)
            )  # fmt: skip
    if set(file.reference) != set(file.objectives):
        found, allowed = ", ".join(file.reference) or "nothing", f"a value for each of {', '.join(file.objectives)}"
        raise RecipeError(f"{path}: reference", found=found, allowed=allowed)
    axes = {axis: _choices(axis, given, str(path)) for axis, given in file.axes.items()}
    space = Space(file, path, base, axes, tuple(_constraint(m, text, str(path)) for m, text in file.constraints.items()))
    _refuse_contradiction(space)
    first = {axis: next(iter(choices)) for axis, choices in axes.items()}
    for axis, choices in axes.items():
        for choice in choices:
            _refuse_unmeasured(space, space.recipe({**first, axis: choice}, file.seeds[0]))
    return space


def _choices(axis: str, given: Any, where: str) -> dict[str, dict[str, Any]]:
    """Each choice by name, as the keys that it sets."""
    if isinstance(given, list):
        found = {value if isinstance(value, str) else json.dumps(value): {axis: value} for value in given}
    elif isinstance(given, Mapping) and all(isinstance(keys, Mapping) for keys in given.values()):
        found = {name: dict(keys) for name, keys in given.items()}
    else:
        raise RecipeError(f"{where}: axes.{axis}", found=repr(given), allowed="a list of values, or a table of tables that set keys")
    if not found:
        raise RecipeError(f"{where}: axes.{axis}", found="no choices", allowed="at least one value")
    return found


def _constraint(metric: str, text: str, where: str) -> Constraint:
    match = re.fullmatch(r"\s*(<=|>=)\s*([-+.\deE]+)\s*", text)
    try:
        if match is None:
            raise ValueError
        return Constraint(metric, 1 if match[1] == "<=" else -1, float(match[2]))
    except ValueError:
        raise RecipeError(f"{where}: constraints.{metric}", found=repr(text), allowed='a bound such as ">= 0.95" or "<= 3000"') from None


def _refuse_unmeasured(space: Space, recipe: Recipe) -> None:
    for name in (*space.file.objectives, *space.file.constraints):
        found, fix = unmeasured(name, recipe)
        if found:
            raise RecipeError(f"{space.path}: {name}", found=found, allowed="a metric that every point is measured by", fix=fix)


def _refuse_contradiction(space: Space) -> None:
    """Bounds that no value meets, and a reference point that no allowed point is better than."""
    reference, objectives = space.file.reference, space.file.objectives
    for bound in space.constraints:
        kind = METRICS[bound.metric]
        if bound.excess(kind.least if bound.sign > 0 else kind.most) > 0:
            raise RecipeError(
                f"{space.path}: constraints.{bound.metric}", found=space.file.constraints[bound.metric],
                allowed=f"a bound that can be met: {bound.metric} lies in {kind.least:g} .. {kind.most:g}",
            )  # fmt: skip
        worse = {"max": 1, "min": -1}.get(objectives.get(bound.metric, ""), 0)
        if worse and bound.sign == worse and (bound.bound - reference[bound.metric]) * worse <= 0:
            raise RecipeError(
                f"{space.path}: reference.{bound.metric}", found=f"{reference[bound.metric]:g}",
                allowed=f"a value that points allowed by `{space.file.constraints[bound.metric]}` are better than",
            )  # fmt: skip


def _toml(value: Any) -> str:
    """A value as `--set` takes it: JSON's numbers, strings, lists and booleans are TOML's too."""
    return json.dumps(value)
