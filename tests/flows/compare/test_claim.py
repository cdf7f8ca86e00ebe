"""Claim files: the shipped ones hold, and every mistake in one is told before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from arbonn.errors import RecipeError
from arbonn.flows.compare.claim import load_claim, passes_of, recipe_of, runs

CLAIMS = sorted((Path(__file__).parents[3] / "recipes" / "claims").glob("*.toml"))
ARMS = """
arms = [
  { name = "one", set = [] },
  { name = "two", set = ["method.name=sam", "method.base.name=ste"] },
  { name = "three", set = ["train.epochs=4"] },
]
"""
HEAD = """
name = "c"
claim = "x"
paper = "y"
kind = "mechanism"
recipe = "base.toml"
null = "z"
"""
BASE = """
name = "base"
data = { name = "digits", augment = ["none", "shift"] }
network = { sizes = [8] }
method = { name = "ste" }
train = { epochs = 2, tensorboard = false }
"""


def written(folder: Path, comparisons: str, head: str = HEAD, arms: str = ARMS) -> Path:
    (folder / "base.toml").write_text(BASE)
    (folder / "c.toml").write_text(f"{head}{arms}comparisons = [{comparisons}]\n")
    return folder / "c.toml"


def refusal(folder: Path, *text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load_claim(written(folder, *text))
    return str(caught.value).replace(str(folder), "DIR")


@pytest.mark.parametrize("path", CLAIMS, ids=lambda path: path.stem)
def test_shipped_claims_load(path):
    claim = load_claim(path)
    assert claim.name == path.stem
    assert claim.null
    assert claim.note, "in what it is less than the paper's experiment"


def test_every_claim_of_the_experiments_has_a_file():
    papers = " ".join(load_claim(path).paper for path in CLAIMS)
    assert all(name in papers for name in ("RBONN", "ReBNN", "LCR-BNN", "SBNN", "ARBONN", "IR-Net", "ReSTE", "BiPer"))


def test_passes_count_the_second_pass(tmp_path):
    claim = load_claim(path := written(tmp_path, '{ arm = "two", against = "three", measure = "accuracy", direction = "higher" }'))
    assert [passes_of(recipe_of(claim, path, arm, 0, ())) for arm in claim.arms] == [2, 4, 4]
    cheap = ("method.name=arbonn", "method.k_sharp=4")
    assert passes_of(recipe_of(claim, path, claim.arms[0], 0, cheap)) == 2.5
    assert passes_of(recipe_of(claim, path, claim.arms[0], 0, ("method.name=arbonn", "method.rho=0.0", "method.tau_f=0.0"))) == 2


def test_runs_of_one_seed_come_together_and_seeds_are_set(tmp_path):
    claim = load_claim(path := written(tmp_path, '{ arm = "two", against = "three", measure = "accuracy", direction = "higher" }'))
    assert [(arm.name, seed) for arm, seed, _ in runs(claim, range(3, 5))] == [
        ("one", 3), ("two", 3), ("three", 3), ("one", 4), ("two", 4), ("three", 4)
    ]  # fmt: skip
    assert recipe_of(claim, path, claim.arms[2], 4, ()).seed == 4


def test_unequal_passes_are_refused(tmp_path):
    unequal = '{ arm = "two", against = "one", measure = "accuracy", direction = "higher" }'
    assert refusal(tmp_path, unequal) == (
        "RecipeError: DIR/c.toml: comparisons: `two` makes 4 passes, `one` 2\n"
        "  allowed  arms with equal passes: a second pass a step costs as much as a second epoch\n"
        "  fix      `train.epochs` of `one` times 2, or unequal_passes = true"
    )
    load_claim(written(tmp_path, unequal, HEAD + "unequal_passes = true\n"))


def test_an_arm_that_is_not_there(tmp_path):
    text = refusal(tmp_path, '{ arm = "tow", against = "one", measure = "accuracy", direction = "higher" }')
    assert text.splitlines()[1] == "  allowed  arms that are there: one, two, three; `tow` is none. did you mean `two`?"


def test_equal_without_a_bound(tmp_path):
    text = refusal(tmp_path, '{ arm = "three", against = "two", measure = "accuracy", direction = "equal" }')
    assert text.splitlines()[1] == "  allowed  within with direction = equal, and only there: 'no effect' needs a bound"


def test_a_corruption_error_without_its_base(tmp_path):
    text = refusal(tmp_path, '{ arm = "three", against = "two", measure = "mce", direction = "lower" }')
    assert text.splitlines()[1] == "  allowed  base = ARM, where mce is compared"


def test_a_wrong_override_names_the_arm(tmp_path):
    comparison = '{ arm = "one", against = "two", measure = "accuracy", direction = "higher" }'
    arms = ARMS.replace("train.epochs=4", "train.epoch=4")
    assert refusal(tmp_path, comparison, HEAD, arms).startswith("RecipeError: DIR/c.toml: arm `three`: train.epoch: unknown key `epoch`\n")


def test_an_arm_is_not_compared_with_itself(tmp_path: Path) -> None:
    said = refusal(tmp_path, '{ arm = "one", against = "one", measure = "accuracy", direction = "higher" }')
    assert "\n  allowed  comparisons of two arms; `one` is compared with itself" in said


def test_an_arm_with_a_seed_of_its_own_is_refused(tmp_path):
    arms = 'arms = [{ name = "one", set = ["seed=3"] }, { name = "two", set = ["train.epochs=2"] }]\n'
    told = refusal(tmp_path, '{ arm = "one", against = "two", measure = "accuracy", direction = "higher" }', HEAD, arms)
    assert (
        told
        == "RecipeError: DIR/c.toml: arm `one`: a seed of its own\n  allowed  arms paired by seed\n  fix      leave `seed` out of `set`"
    )
