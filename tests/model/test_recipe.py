"""Recipes: the shipped one loads, a wrong name of a method, data set or network is answered with the nearest right one."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from itertools import pairwise
from pathlib import Path

import pytest

from arbonn.errors import RecipeError
from arbonn.model import registry
from arbonn.model.recipe import DATASETS, METHODS, NETWORKS, MethodConfig, TrainRecipe
from arbonn.settings import parse, read_toml

DIGITS = Path(__file__).parents[2] / "recipes" / "digits.toml"


def sections() -> dict:
    """The training part of the shipped recipe; later stages add sections of their own to the file."""
    return {key: value for key, value in read_toml(DIGITS).items() if key in TrainRecipe.model_fields}


def refusal(change: dict) -> str:
    data = sections()
    for section, keys in change.items():
        data[section] = {**data.get(section, {}), **keys}
    with pytest.raises(RecipeError) as caught:
        parse(data, TrainRecipe, "r.toml")
    return str(caught.value)


def test_the_shipped_recipe_fits_the_smallest_board():
    recipe = parse(sections(), TrainRecipe, "digits.toml")
    sizes = [64, *recipe.network.sizes, 10]
    assert recipe.method.name == "arbonn"
    assert sum(a * b for a, b in pairwise(sizes)) <= 40_000


def test_the_method_has_its_own_options():
    recipe = parse({**sections(), "method": {"name": "arbonn", "rho": 0.1}}, TrainRecipe, "r.toml")
    assert (type(recipe.method), recipe.method.rho) == (METHODS.get("arbonn", "").Config, 0.1)
    assert recipe.training()["method"]["rho"] == 0.1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"method": {"name": "arbon"}},
            f"r.toml: method.name: unknown method `arbon`\n  allowed  {', '.join(METHODS.names())}\n  fix      did you mean `arbonn`?",
        ),
        (
            {"data": {"name": "digit"}},
            f"r.toml: data.name: unknown data set `digit`\n  allowed  {', '.join(DATASETS.names())}\n  fix      did you mean `digits`?",
        ),
        (
            {"network": {"name": "mpl"}},
            f"r.toml: network.name: unknown network `mpl`\n  allowed  {', '.join(NETWORKS.names())}\n  fix      did you mean `mlp`?",
        ),
        ({"train": {"batch": 1}}, "r.toml: train.batch: 1\n  allowed  greater than or equal to 2"),
        ({"method": {"name": 3}}, "r.toml: method.name: 3\n  allowed  string"),
    ],
)
def test_an_unknown_name(change, text):
    assert refusal(change) == "RecipeError: " + text


def test_an_option_that_the_method_lacks():
    data = {**sections(), "method": {"name": "ste", "weight_clp": True}}
    with pytest.raises(RecipeError) as caught:
        parse(data, TrainRecipe, "r.toml")
    assert str(caught.value) == (
        "RecipeError: r.toml: method.weight_clp: unknown key `weight_clp`\n"
        "  allowed  name, scale_grad, weight_clip\n"
        "  fix      did you mean `weight_clip`?"
    )


def test_an_augmentation_that_does_not_exist():
    assert refusal({"data": {"augment": ["none", "shfit"]}}) == (
        "RecipeError: r.toml: data.augment.1: 'shfit'\n"
        "  allowed  none, shift, rotate, scale, contrast, noise, flip, crop, flip-crop\n  fix      did you mean `shift`?"
    )


def test_sharpness_that_nothing_measures_is_refused():
    assert refusal({"method": {"name": "arbonn", "rho": 0.0}}) == (
        "RecipeError: r.toml: method: {'name': 'arbonn', 'rho': 0.0}\n"
        "  allowed  tau_f = 0 where rho = 0: without a perturbation no sharpness is known to select by"
    )


def test_the_key_sees_every_value_and_no_later_section():
    class Longer(TrainRecipe):
        extra: int = 1

    recipe = parse(sections(), TrainRecipe, "")
    assert parse({**sections(), "extra": 5}, Longer, "").key() == recipe.key()
    assert parse({**sections(), "seed": 1}, TrainRecipe, "").key() != recipe.key()


class Outside:
    """A method as another package would offer it."""

    class Config(MethodConfig):
        strength: float = 1.0


def test_a_method_from_outside_the_tree(monkeypatch):
    point = EntryPoint("outside", "somewhere:Outside", "arbonn.methods")
    monkeypatch.setattr(EntryPoint, "load", lambda self: Outside)
    monkeypatch.setattr(registry, "entry_points", lambda **wanted: EntryPoints([point]).select(**wanted))
    monkeypatch.setattr(METHODS, "_found", {})
    assert {"arbonn", "outside", "ste"} < set(METHODS.names())
    recipe = parse({**sections(), "method": {"name": "outside", "strength": 2.0}}, TrainRecipe, "")
    assert recipe.method == Outside.Config(name="outside", strength=2.0)


def test_two_methods_of_one_name():
    METHODS.get("ste", "")
    with pytest.raises(ValueError, match="two methods are called 'ste'"):
        METHODS.register("ste")(object())


def test_a_warm_up_longer_than_the_training_is_refused():
    assert refusal({"train": {"epochs": 3, "warmup_epochs": 4}}) == (
        "RecipeError: r.toml: train.warmup_epochs: 4\n  allowed  at most train.epochs, here 3: the rate would never reach train.lr"
    )
    parse({**sections(), "train": {"epochs": 3, "warmup_epochs": 3}}, TrainRecipe, "r.toml")


def test_an_unknown_measure_names_the_nearest():
    assert refusal({"measures": {"names": ["flip"]}}) == (
        "RecipeError: r.toml: measures.names: unknown measure `flip`\n"
        "  allowed  corruption, density, domain-flips, flips, gradients, sharpness, sigma-gap, size\n"
        "  fix      did you mean `flips`?"
    )
