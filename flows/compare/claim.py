"""A claim as a file of `recipes/claims`: which arms are trained, what is measured, and which comparison would bear the claim out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, model_validator

from arbonn.errors import RecipeError
from arbonn.flows.recipe import Recipe
from arbonn.model.methods.compose import chain
from arbonn.settings import Settings, load_toml, nearest, override, parse, read_toml

SEEDS = {"mechanism": 8, "accuracy": 10}
"""Seeds under which a comparison of this kind can be called seen; fewer are a smoke figure."""

Texts = Annotated[tuple[str, ...], Field(strict=False)]
When = Literal["end", "late", "mean"]


class Arm(Settings):
    """[[arms]]: the base recipe with `set`, in the words of --set."""

    name: str = Field(pattern=r"^\w[\w. +-]{0,39}$", description="the arm's name in tables")
    set: Texts = Field(default=(), description='changes of the recipe, such as "method.name=ste"')


class Comparison(Settings):
    """[[comparisons]]: `arm` against `against` on one measure, seed by seed.

    direction  where the claim says that `arm` lies; "equal" needs `within`, the bound of what counts as equal.
    when       "end": the finished network; "late": mean over the last quarter of the epochs; "mean": over all of them.
    scale      "log10" compares log10(x + 1e-8), for shares that spread over decades.
    claim      false: reported and part of the family, but no part of the verdict.
    """

    arm: str
    against: str
    measure: str
    direction: Literal["higher", "lower", "equal"]
    when: When = "end"
    scale: Literal["linear", "log10"] = "linear"
    within: PositiveFloat | None = Field(default=None, description="for `equal`: the largest difference that does not matter")
    claim: bool = True

    @model_validator(mode="after")
    def _bound(self) -> Comparison:
        if (self.direction == "equal") != (self.within is not None):
            raise ValueError("within with direction = equal, and only there: 'no effect' needs a bound")
        return self


class Claim(Settings):
    """One claim of one paper, and the experiment that would show it. `vary`: settings that every arm runs under, averaged for each seed."""

    name: str = Field(pattern=r"^\w[\w.-]{0,63}$")
    claim: str = Field(description="what is claimed, in words")
    paper: str
    kind: Literal["mechanism", "accuracy"]
    recipe: str = Field(description="the base recipe, relative to this file")
    null: str = Field(description="what would be a null result")
    note: str = Field(default="", description="in what this experiment is less than the paper's")
    set: Texts = ()
    vary: Annotated[tuple[Texts, ...], Field(strict=False)] = ((),)
    family: Literal["holm"] = "holm"
    lower: bool = Field(default=False, description="lower each network too, and count its LUTs and the integers that differ")
    base: str | None = Field(default=None, description="the arm whose errors `mce` and `relative_mce` are relative to")
    unequal_passes: bool = Field(default=False, description="allow comparisons of arms with different numbers of passes")
    arms: Annotated[tuple[Arm, ...], Field(strict=False, min_length=2)]
    comparisons: Annotated[tuple[Comparison, ...], Field(strict=False, min_length=1)]

    @model_validator(mode="after")
    def _names(self) -> Claim:
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError("arms with names of their own")
        for name in [name for c in self.comparisons for name in (c.arm, c.against)] + ([self.base] if self.base else []):
            if name not in names:
                raise ValueError(f"arms that are there: {', '.join(names)}; `{name}` is none. {nearest(name, names)}".rstrip())
        if same := [c.arm for c in self.comparisons if c.arm == c.against]:
            raise ValueError(f"comparisons of two arms; `{same[0]}` is compared with itself")
        if any("mce" in c.measure for c in self.comparisons) and self.base is None:
            raise ValueError("base = ARM, where mce is compared")
        if not any(c.claim for c in self.comparisons):
            raise ValueError("at least one comparison that is part of the claim")
        return self

    @property
    def needed(self) -> int:
        """Seeds without which nothing is seen."""
        return SEEDS[self.kind]


def load_claim(path: Path) -> Claim:
    """The claim in a TOML file; its base recipe and all its arms are checked too, before anything is trained."""
    claim = load_toml(path, Claim)
    passes = {arm.name: [passes_of(recipe_of(claim, path, arm, 0, settings)) for settings in claim.vary] for arm in claim.arms}
    for comparison in claim.comparisons:
        one, other = passes[comparison.arm][0], passes[comparison.against][0]
        if one != other and not claim.unequal_passes:
            raise RecipeError(
                f"{path}: comparisons",
                found=f"`{comparison.arm}` makes {one:g} passes, `{comparison.against}` {other:g}",
                allowed="arms with equal passes: a second pass a step costs as much as a second epoch",
                fix=f"`train.epochs` of `{comparison.against}` times {one / other:g}, or unequal_passes = true",
            )
    return claim


def recipe_of(claim: Claim, path: Path, arm: Arm, seed: int, settings: tuple[str, ...]) -> Recipe:
    """What one run trains. Claims that share a base recipe share the runs of equal arms."""
    beside = path.parent / claim.recipe
    data: dict[str, Any] = read_toml(beside)
    for overrides in (claim.set, settings, arm.set):
        data = override(data, overrides)
    if any(text.partition("=")[0].strip() == "seed" for text in (*claim.set, *settings, *arm.set)):
        raise RecipeError(
            f"{path}: arm `{arm.name}`", found="a seed of its own", allowed="arms paired by seed", fix="leave `seed` out of `set`"
        )
    return parse({**data, "seed": seed}, Recipe, f"{path}: arm `{arm.name}`")


def passes_of(recipe: Recipe) -> float:
    """Passes (a forward and a backward of one batch) of a run, in epochs."""
    passes = float(recipe.train.epochs)
    for method, _ in chain(recipe.method):
        if method.name == "sam":
            passes *= 2
        elif method.name == "arbonn" and getattr(method, "rho", 0.0) > 0:
            passes *= 1 + 1 / method.k_sharp
    return passes


def runs(claim: Claim, seeds: range) -> Iterator[tuple[Arm, int, tuple[str, ...]]]:
    """Every run of a comparison, seed by seed: a stopped one leaves whole pairs behind."""
    for seed in seeds:
        for settings in claim.vary:
            for arm in claim.arms:
                yield arm, seed, settings
