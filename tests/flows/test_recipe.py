"""Recipes: what is wrong is named with its key, and the nearest right one."""

from __future__ import annotations

from pathlib import Path

import pytest

from arbonn.errors import RecipeError
from arbonn.flows.recipe import Recipe, load_recipe
from arbonn.hw.boards import boards

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
DIGITS = Path(__file__).parents[2] / "recipes" / "digits.toml"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_load(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert recipe == Recipe.model_validate(recipe.model_dump(), strict=False)


def test_overrides_reach_every_section() -> None:
    recipe = load_recipe(DIGITS, ["train.epochs=3", "check.stalls=[0.5]", "build.netlist_frames=5", "fold.target_fps=100.0"])
    assert (recipe.train.epochs, recipe.check.stalls, recipe.build.netlist_frames, recipe.fold.target_fps) == (3, (0.5,), 5, 100.0)


def test_later_sections_do_not_decide_the_training() -> None:
    assert load_recipe(DIGITS).key() == load_recipe(DIGITS, ["check.seed=7", "build.netlist_frames=5"]).key()
    assert load_recipe(DIGITS).key() != load_recipe(DIGITS, ["seed=7"]).key()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "check.stals=[0.0]",
            "RecipeError: {}: check.stals: unknown key `stals`\n"
            "  allowed  engine, frames, second_frames, seed, stalls\n"
            "  fix      did you mean `stalls`?",
        ),
        (
            "build.board='icebraker'",
            f"RecipeError: {{}}: build.board: unknown board `icebraker`\n  allowed  {', '.join(boards())}\n"
            "  fix      did you mean `icebreaker`?",
        ),
        ("fold.target_fps=inf", "RecipeError: {}: fold.target_fps: inf\n  allowed  finite number"),
        ("seed=9223372036854775808", "RecipeError: {}: seed: 9223372036854775808\n  allowed  less than 9223372036854775808"),
        ("name='../outside'", "RecipeError: {}: name: '../outside'\n  allowed  String should match pattern '^\\w[\\w.-]{0,63}$'"),
        ("check.stalls=[1.0]", "RecipeError: {}: check.stalls.0: 1.0\n  allowed  less than 1"),
        ("lower.samples='all'", "RecipeError: {}: lower.samples: 'all'\n  allowed  integer"),
        ("buld.board='x'", "RecipeError: {}: buld: unknown key `buld`\n  allowed  {}\n  fix      did you mean `build`?"),
    ],
)
def test_a_wrong_key_or_value_is_one_clear_error(override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(DIGITS, [override])
    sections = ", ".join(sorted(Recipe.model_fields))
    assert str(caught.value) == message.replace("{}", str(DIGITS), 1).replace("{}", sections)
