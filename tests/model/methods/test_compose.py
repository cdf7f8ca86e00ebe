"""The table of what composes: every legal pair trains, every illegal one is refused by name with one error."""

from __future__ import annotations

from itertools import product

import pytest

from arbonn.errors import RecipeError
from arbonn.model.methods.compose import REFUSED
from arbonn.model.recipe import METHODS

BINARIZERS = [name for name in METHODS.names() if METHODS.get(name, "").role == "binarizer"]
WRAPPERS = [name for name in METHODS.names() if METHODS.get(name, "").role == "wrapper"]
NEVER = {(entry.outer, entry.inner) for entry in REFUSED if entry.when.__code__.co_names == ()}


def test_every_method_is_in_the_registry_and_says_what_it_is():
    assert BINARIZERS == ["abnn", "arbonn", "biper", "irnet", "rbonn", "rebnn", "reste", "sbnn", "ste", "ste-xnor", "topk"]
    assert WRAPPERS == ["coral", "groupdro", "kd", "lcr", "mixstyle", "sam", "swa", "two-step"]
    for name in METHODS.names():
        kind = METHODS.get(name, "")
        assert 20 < len(kind.summary) < 140
        assert kind.paper


@pytest.mark.parametrize(("outer", "inner"), [*product(WRAPPERS, BINARIZERS)])
def test_every_wrapper_goes_around_every_binarizer_but_those_of_the_table(recipe, outer, inner):
    wanted = {"name": outer, "base": {"name": inner}}
    if (outer, inner) in NEVER:
        with pytest.raises(RecipeError, match=f"`{outer}` and `{inner}` do not compose: "):
            recipe(method=wanted)
    else:
        made = recipe(method=wanted).method
        assert (made.name, made.base.name) == (outer, inner)
        assert type(made.base) is METHODS.get(inner, "").Config


def test_the_table_holds_what_the_specification_says():
    assert {("sam", "arbonn"), ("kd", "groupdro"), ("two-step", "biper")} == NEVER
    assert {(entry.outer, entry.inner) for entry in REFUSED} - NEVER == {("sam", "biper")}


@pytest.mark.parametrize(("outer", "inner"), [*product(BINARIZERS, BINARIZERS)])
def test_two_binarizers_never_compose(recipe, outer, inner):
    with pytest.raises(RecipeError, match=f"method.base: `{outer}` and `{inner}` do not compose: "):
        recipe(method={"name": outer, "base": {"name": inner}})


def refusal(recipe, method: dict, **top) -> str:
    with pytest.raises(RecipeError) as caught:
        recipe(method=method, **top)
    return str(caught.value)


def test_the_messages(recipe):
    allowed = "\n  allowed  wrappers around one weight binarizer, each wrapper once\n  fix      "
    assert refusal(recipe, {"name": "sam", "base": {"name": "arbonn"}}) == (
        "RecipeError: test: method.base.name: `sam` and `arbonn` do not compose: arbonn perturbs the effective weights itself"
        + allowed
        + "leave sam out: arbonn's `rho` is that perturbation"
    )
    assert refusal(recipe, {"name": "rbonn", "base": {"name": "rebnn"}}) == (
        "RecipeError: test: method.base: `rbonn` and `rebnn` do not compose: both decide the bits of a layer"
        + allowed
        + "choose one of them, or put a wrapper around `rbonn`"
    )
    assert refusal(recipe, {"name": "swa", "base": {"name": "sam", "base": {"name": "swa", "base": {"name": "ste"}}}}) == (
        "RecipeError: test: method.base.base.name: `swa` and `swa` do not compose: once is enough" + allowed + "leave one `swa` out"
    )
    assert refusal(recipe, {"name": "arbonn"}, network={"sizes": [8], "block": "nf"}) == (
        "RecipeError: test: method.domain_norm: `arbonn` and `block = nf` do not compose: the domain module is a norm, nf blocks "
        "have none" + allowed + "domain_norm = false"
    )


def test_a_refusal_reaches_through_other_wrappers(recipe):
    assert "`sam` and `arbonn`" in refusal(recipe, {"name": "sam", "base": {"name": "swa", "base": {"name": "arbonn"}}})


def test_conditions_look_at_options(recipe):
    assert recipe(method={"name": "sam", "base": {"name": "biper"}})
    assert "`sam` and `biper`" in refusal(recipe, {"name": "sam", "base": {"name": "biper", "stage_one": 0.5}})
    assert recipe(method={"name": "arbonn", "domain_norm": False}, network={"sizes": [8], "block": "nf"})


def test_a_wrong_option_deep_inside_is_named_with_its_path(recipe):
    text = refusal(recipe, {"name": "swa", "base": {"name": "sam", "base": {"name": "ste", "weight_clp": True}}})
    assert text.startswith("RecipeError: test: method.base.base.weight_clp: unknown key `weight_clp`")
    text = refusal(recipe, {"name": "swa", "base": {"name": "st"}})
    assert text.startswith("RecipeError: test: method.base.name: unknown method `st`")
    assert refusal(recipe, {"name": "swa"}).startswith("RecipeError: test: method.base: missing\n  allowed  the method inside")


def test_a_recipe_goes_through_its_own_text(recipe):
    from arbonn.model.recipe import TrainRecipe
    from arbonn.settings import parse

    made = recipe(method={"name": "swa", "base": {"name": "lcr", "base": {"name": "sbnn", "ec": 0.25}}})
    assert made.training()["method"]["base"]["base"]["ec"] == 0.25
    assert parse(made.model_dump(mode="json"), TrainRecipe, "again") == made
    assert recipe(method={"name": "lcr"}).method.base.name == "irnet"
