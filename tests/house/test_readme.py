"""What README.md shows is true: its commands run as written (on a small recipe under the shipped one's name), its files exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"^```\n(.*?)^```$", README, re.DOTALL | re.MULTILINE) for line in block.splitlines()]
SMALL = """
name = "digits"
data = { name = "digits", test = 20 }
network = { sizes = [16] }
method = { name = "ste" }
train = { epochs = 2 }
"""


def test_commands_run_as_written(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "digits.toml").write_text(SMALL)
    ran = [command for command in COMMANDS if command.startswith("arbonn ")]
    assert {command.split()[1] for command in ran} >= {"doctor", "train", "lower", "eval", "check", "build", "export", "show"}
    order = sorted(ran, key=lambda command: "report" in command)
    for command in ["arbonn run recipes/digits.toml", *order]:
        program, *arguments = shlex.split(command)
        done = subprocess.run(
            [str(Path(sys.executable).parent / program), *arguments],
            cwd=tmp_path, env=os.environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z-]+)", README))))
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:model|hw|sim|flows|recipes)/[\w/.]+|[A-Z]+\.(?:md|cff))`", README))))
def test_files_exist(name: str) -> None:
    assert (ROOT / name).exists()


def test_constraints_pin_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[^A-Za-z0-9._-]", line)[0] for line in wanted}
    pinned = set(re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    assert names - pinned == set()
