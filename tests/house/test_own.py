"""docs/own.md: its files are written and its commands run as they stand, in one folder and in order."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import arbonn
from arbonn.errors import InputError

PAGE = (Path(__file__).parents[2] / "docs" / "own.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
PROGRAMS = Path(sys.executable).parent


def run(command: str, folder: Path) -> str:
    """A line of the page; `pip install` goes to a folder of its own that Python looks in, and downloads nothing."""
    words = shlex.split(command)
    if words[:2] == ["pip", "install"]:
        words = ["python", "-m", "pip", "install", *words[2:], "--no-deps", "--no-build-isolation", "--no-index", "--target", "site"]
    environment = {**os.environ, "PYTHONPATH": str(folder / "site")}
    command_line = [str(PROGRAMS / words[0]), *words[1:]]
    done = subprocess.run(
        command_line, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The page followed to its end: the folder, and what each command said."""
    folder, said = tmp_path_factory.mktemp("own"), {}
    for language, name, text in BLOCKS:
        if name:
            (folder / name).write_text(text)
        else:
            assert language == "sh", "every other block names its file"
            for line in text.splitlines():
                said[line] = run(line, folder)
    return folder, said


@pytest.mark.slow  # the page takes half a minute
def test_the_page_runs_as_it_stands(followed: tuple[Path, dict[str, str]]) -> None:
    _, said = followed
    assert {line.split()[1] for line in said if line.startswith("arbonn ")} >= {"lower", "eval", "check", "train"}
    assert float(said["python mynet.py"].split()[1]) > 0.8


@pytest.mark.slow  # the page takes half a minute
def test_the_integers_are_right_as_often_as_the_floats(followed: tuple[Path, dict[str, str]]) -> None:
    folder, said = followed
    found = json.loads(run("arbonn eval build/mynet --images images.npy --labels labels.npy --json", folder))
    assert found["frames"] == len(np.load(folder / "labels.npy")) == 397
    assert found["accuracy"] == pytest.approx(float(said["python mynet.py"].split()[1]))
    lowered = json.loads((folder / "build" / "mynet" / "lower" / "result.json").read_text())
    assert (lowered["mismatches"], lowered["input_source"]) == (0, "metadata")


@pytest.mark.slow  # the page takes half a minute
def test_the_method_from_outside_is_known_and_its_options_are_checked(followed: tuple[Path, dict[str, str]]) -> None:
    folder, _ = followed
    assert json.loads(run("arbonn methods --json", folder))["methods"]["drawn"]["options"] == ["pull"]
    with pytest.raises(AssertionError, match=r"RecipeError: drawn.toml: method.pul: unknown key `pul`\s+allowed  name, pull\s+fix"):
        run("arbonn train drawn.toml --set method.pul=1.0", folder)


def test_what_is_no_input_is_refused(tmp_path: Path) -> None:
    from torch import nn

    with pytest.raises(InputError) as caught:
        arbonn.to_qonnx(nn.Linear(4, 2), tmp_path / "n.onnx", "uint8,scale=1/255", (5,))
    assert str(caught.value) == (
        "InputError: frame (5,): Linear does not take it: mat1 and mat2 shapes cannot be multiplied (1x5 and 4x2)\n"
        "  allowed  the shape of one input, without the batch"
    )
    with pytest.raises(InputError, match="uint99"):
        arbonn.to_qonnx(nn.Linear(4, 2), tmp_path / "n.onnx", "uint99", (4,))
    assert list(tmp_path.iterdir()) == []
