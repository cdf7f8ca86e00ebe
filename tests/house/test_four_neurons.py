"""docs/four_neurons.md: followed as it stands, on a PATH where only what pip installed can be found."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "four_neurons.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
PROGRAMS = Path(sys.executable).parent


@pytest.mark.slow  # trains, builds and places: a quarter of a minute
def test_the_page_runs_with_what_pip_installs(tmp_path: Path) -> None:
    (tmp_path / "recipes").symlink_to(Path(__file__).parents[2] / "recipes")
    environment = {**os.environ, "PATH": str(PROGRAMS), "ARBONN_STORE": str(tmp_path / "store")}
    said = {}
    for language, name, text in BLOCKS:
        if name:
            (tmp_path / name).write_text(text)
        for line in text.splitlines() if language == "sh" else []:
            words = shlex.split(line)
            done = subprocess.run(
                [str(PROGRAMS / words[0]), *words[1:]],
                cwd=tmp_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            said[line] = done.stdout
    summary = json.loads((tmp_path / "build" / "four_neurons" / "summary.json").read_text())
    shares = summary["stages"]["check"]["simulators"]
    assert [(share["name"], share["frames"], share["skipped"]) for share in shares] == [("amaranth", 40, None)]
    assert (summary["bit_mismatches"], summary["cycle_mismatches"], summary["good"]) == (0, 0, True)
    assert (tmp_path / "build" / "four_neurons" / "bitstream" / "top.bin").is_file()
    table = said["arbonn explain build/four_neurons --table"]
    rows = [line.split() for line in table.splitlines() if re.match(r"\s+[01]\s+[01] ", line)]
    assert len(rows) == 4
    right = sum(int(row[-1]) == (row[0] != row[1]) for row in rows)
    assert right == round(4 * summary["accuracy"]) >= 3
    assert said["arbonn explain build/broken --table"] != table
