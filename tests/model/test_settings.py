"""Strict settings: what is right is read as written, what is wrong is one message that says what to type."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, PositiveInt

from arbonn.errors import RecipeError
from arbonn.settings import Settings, load_toml, nearest, override, parse


class Inner(Settings):
    epochs: PositiveInt = Field(description="passes over the images")
    schedule: Literal["cosine", "linear"] = "cosine"


class Outer(Settings):
    name: str = "run"
    train: Inner
    sizes: Annotated[tuple[PositiveInt, ...], Field(strict=False)] = ()


def message(text: str, tmp_path) -> str:
    file = tmp_path / "r.toml"
    file.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_toml(file, Outer)
    return str(caught.value).replace(str(tmp_path), "DIR")


def test_a_right_file_is_read_as_written(tmp_path):
    (tmp_path / "r.toml").write_text("sizes = [3, 4]\n[train]\nepochs = 2\n")
    assert load_toml(tmp_path / "r.toml", Outer, ["train.schedule=linear"]) == Outer(sizes=(3, 4), train=Inner(epochs=2, schedule="linear"))


def test_a_misspelt_key_names_the_nearest(tmp_path):
    assert message("[train]\nepoch = 2\n", tmp_path) == (
        "RecipeError: DIR/r.toml: train.epoch: unknown key `epoch`\n"
        "  allowed  epochs, schedule\n"
        "  fix      did you mean `epochs`?; also wrong: train.epochs"
    )


def test_a_misspelt_value_names_the_nearest(tmp_path):
    assert message('[train]\nepochs = 2\nschedule = "cosin"\n', tmp_path) == (
        "RecipeError: DIR/r.toml: train.schedule: 'cosin'\n  allowed  cosine, linear\n  fix      did you mean `cosine`?"
    )


def test_a_value_of_the_wrong_type_is_not_converted(tmp_path):
    assert message('[train]\nepochs = "2"\n', tmp_path) == "RecipeError: DIR/r.toml: train.epochs: '2'\n  allowed  integer"


def test_a_value_out_of_range(tmp_path):
    assert message("[train]\nepochs = 0\n", tmp_path) == "RecipeError: DIR/r.toml: train.epochs: 0\n  allowed  greater than 0"


def test_an_entry_of_a_list(tmp_path):
    assert message('sizes = [1, "2"]\n[train]\nepochs = 1\n', tmp_path) == "RecipeError: DIR/r.toml: sizes.1: '2'\n  allowed  integer"


def test_a_missing_section_and_a_missing_key(tmp_path):
    assert message("", tmp_path) == "RecipeError: DIR/r.toml: train: missing\n  allowed  Inner\n  fix      add `train = ...`"
    assert message("[train]\n", tmp_path) == (
        "RecipeError: DIR/r.toml: train.epochs: missing\n  allowed  passes over the images\n  fix      add `epochs = ...`"
    )


def test_a_syntax_error_has_line_and_column(tmp_path):
    assert "(at line 2, column " in message("[train]\nepochs = \n", tmp_path)


def test_a_missing_file_names_the_one_beside_it(tmp_path):
    (tmp_path / "digits.toml").touch()
    with pytest.raises(RecipeError) as caught:
        load_toml(tmp_path / "digit.toml", Outer)
    assert str(caught.value).replace(str(tmp_path), "DIR") == (
        "RecipeError: DIR/digit.toml: no such file\n  allowed  digits.toml\n  fix      did you mean `digits.toml`?"
    )


def test_settings_never_change():
    with pytest.raises(ValueError, match="frozen"):
        Inner(epochs=1).epochs = 2


@given(st.integers(), st.text(alphabet="abc", min_size=1))
def test_an_override_sets_one_value_and_leaves_the_given_data_alone(number, word):
    data = {"train": {"epochs": 1, "schedule": "cosine"}}
    assert override(data, [f"train.epochs={number}", f"new.key={word}"]) == {
        "train": {"epochs": number, "schedule": "cosine"},
        "new": {"key": word},
    }
    assert data == {"train": {"epochs": 1, "schedule": "cosine"}}


@pytest.mark.parametrize("wrong", ["train.epochs", "=1", "train.=1", "name.x=1"])
def test_an_override_that_is_none(wrong):
    with pytest.raises(RecipeError, match=r"^RecipeError: --set: "):
        override({"name": "run"}, [wrong])


def test_nearest_is_silent_where_nothing_is_near():
    assert nearest("zzzz", ["epochs"]) == ""
    assert nearest("STE", ["ste", "arbonn"]) == "did you mean `ste`?"


def test_parse_reports_the_prefix():
    with pytest.raises(RecipeError, match=r"^RecipeError: f: a\.b\.epochs: missing"):
        parse({}, Inner, "f", ("a", "b"))


def test_reading_recipes_needs_no_torch():
    code = "import sys, arbonn.settings, arbonn.model.recipe; sys.exit('torch' in sys.modules or 'brevitas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
