"""A space says every recipe of its points; what is empty, contradictory or never measured is refused before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from arbonn.errors import RecipeError
from arbonn.flows.explore.space import load_space
from tests.flows.explore.spaces import SPACE, write_space


def test_points_and_their_recipes(tmp_path: Path) -> None:
    space = load_space(write_space(tmp_path))
    assert space.size == len(space.points()) == 8
    recipe = space.recipe({"network.sizes": "[8]", "fold.target_fps": "20000", "method": "irnet"}, seed=3)
    assert (recipe.network.sizes, recipe.fold.target_fps, recipe.method.name, recipe.train.epochs, recipe.seed) == (
        (8,),
        20000,
        "irnet",
        1,
        3,
    )


def test_less_is_better_in_a_vector(tmp_path: Path) -> None:
    assert load_space(write_space(tmp_path)).vector({"val_accuracy": 0.9, "luts": 100.0, "ffs": 7.0}) == (-0.9, 100.0)


BROKEN = [
    ('luts = "min"', 'lutts = "min"', "{path}: lutts: a metric that is never measured", "did you mean `luts`?"),
    ("[[4], [8]]", "[]", "{path}: axes.network.sizes: no choices", "at least one value"),
    ("[[4], [8]]", "4", "{path}: axes.network.sizes: 4", "a list of values, or a table of tables that set keys"),
    ("[[4], [8]]", "[[4], [0]]", "network.sizes = [0], fold.target_fps = 200, method = ste: network.sizes.0: 0", ""),
    (
        "reference = { val_accuracy = 0.1, luts = 5000 }",
        "reference = { luts = 1 }",
        "{path}: reference: luts",
        "a value for each of val_accuracy, luts",
    ),
    ('">= 0.2"', '"> 0.2"', "{path}: constraints.val_accuracy: '> 0.2'", 'a bound such as ">= 0.95" or "<= 3000"'),
    ('">= 0.2"', '">= 1.5"', "{path}: constraints.val_accuracy: >= 1.5", "a bound that can be met: val_accuracy lies in 0 .. 1"),
    ('">= 0.2"', '"<= 0.05"', "{path}: reference.val_accuracy: 0.1", "a value that points allowed by `<= 0.05` are better than"),
    ("recipe =", "recipes =", "{path}: recipes: unknown key `recipes`", "did you mean `recipe`?"),
]


@pytest.mark.parametrize(("old", "new", "found", "told"), BROKEN)
def test_a_broken_space_is_one_error(tmp_path: Path, old: str, new: str, found: str, told: str) -> None:
    assert old in SPACE
    path = write_space(tmp_path, SPACE.replace(old, new))
    with pytest.raises(RecipeError) as error:
        load_space(path)
    assert found.format(path=path) in str(error.value)
    assert told in str(error.value)
