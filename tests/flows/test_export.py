"""What `arbonn export` writes runs with Icarus alone, passes on the design, and fails on another one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from arbonn.flows.export import RUN, export, export_axi
from arbonn.hw import graph_file
from arbonn.hw.parameters import with_runtime_parameters
from arbonn.hw.shells.axi_map import memory_map
from tests.flows.test_cli import arbonn
from tests.networks import small_network


def run(folder: Path) -> str:
    """The line of README.txt, in the folder, with nothing of Python in reach."""
    assert RUN in (folder / "README.txt").read_text()
    tools = os.path.dirname(shutil.which("iverilog") or "")
    done = subprocess.run(RUN, shell=True, cwd=folder, env={"PATH": f"{tools}:/usr/bin:/bin"}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    codes = np.random.default_rng(0).integers(0, 8, (5, 8))
    assert export(small_network(), codes, tmp_path) == sorted(p.name for p in tmp_path.iterdir())
    return tmp_path


def test_it_passes_with_icarus_alone(exported: Path) -> None:
    # 5 frames of one label and two transfers of logits
    assert re.fullmatch(r"PASS: 5 frames, 15 output transfers in \d+ cycles\n", run(exported))


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [("label.hex", lambda n: n ^ 1, "another payload"), ("logits_cycles.hex", lambda n: n + 1, "another cycle")],
)
def test_one_wrong_line_is_told(exported: Path, name: str, change, told: str) -> None:  # type: ignore[no-untyped-def]
    lines = (exported / name).read_text().split()
    lines[3] = f"{change(int(lines[3], 16)):x}"
    (exported / name).write_text("\n".join(lines) + "\n")
    first, count = run(exported).splitlines()
    assert re.fullmatch(rf"FAIL: {name.split('_')[0].split('.')[0]}, cycle \d+: {told}", first)
    assert count == "FAIL: 1 differences"


def test_a_design_that_gives_nothing_fails(exported: Path) -> None:
    text = (exported / "accelerator.v").read_text()
    (exported / "accelerator.v").write_text(re.sub(r"\.label__valid\(label__valid\)", ".label__valid()", text))
    assert "FAIL" in run(exported)


def test_the_command_writes_beside_the_graph_and_says_what_to_type(tmp_path: Path) -> None:
    graph_file.save(small_network(), tmp_path)
    done = arbonn("export", tmp_path, "--frames", 3)
    assert done.returncode == 0, done.stderr
    assert RUN in done.stdout
    assert run(tmp_path / "export").startswith("PASS: 3 frames")


def test_run_time_parameters_that_nobody_writes_change_nothing(tmp_path: Path) -> None:
    graph = with_runtime_parameters(small_network())
    export(graph, np.random.default_rng(0).integers(0, 8, (2, 8)), tmp_path)
    assert ".load_mvau_0__weights__en(1'b0)" in (tmp_path / "testbench.sv").read_text()
    assert run(tmp_path).startswith("PASS: 2 frames, 6 output transfers")


def test_the_axi_shell_comes_with_its_map_its_parameters_and_its_beats(tmp_path: Path) -> None:
    graph = with_runtime_parameters(small_network())
    graph_file.save(graph, tmp_path)
    done = arbonn("export", tmp_path, "--shell", "axi", "--frames", 3, "--json")
    assert done.returncode == 0, done.stderr
    told, folder = json.loads(done.stdout), tmp_path / "export_axi"
    names = ["README.txt", "arbonn_axi.v", "m_axis_label.hex", "m_axis_logits.hex", "memory_map.json", "parameters.txt", "s_axis.hex"]
    assert told["files"] == names == sorted(p.name for p in folder.iterdir())
    found = memory_map(graph)
    assert json.loads((folder / "memory_map.json").read_text()) == json.loads(json.dumps(found.as_json()))
    lines = [tuple(int(word, 16) for word in line.split()) for line in (folder / "parameters.txt").read_text().splitlines()]
    assert lines == found.writes(graph)
    # 4 beats of 2 inputs of 3 bits; 2 beats of 2 logits of 8 bits
    assert [len((folder / name).read_text().split()) for name in ("s_axis.hex", "m_axis_label.hex", "m_axis_logits.hex")] == [12, 3, 6]
    assert {len(line) for line in (folder / "m_axis_logits.hex").read_text().split()} == {4}
    assert "A frame is 4 beats on s_axis." in (folder / "README.txt").read_text()
    assert f"leave CYCLES at {told['cycles']}." in (folder / "README.txt").read_text()


def test_the_axi_shell_of_a_constant_network_has_nothing_to_load(tmp_path: Path) -> None:
    files, _ = export_axi(small_network(), np.zeros((1, 8), np.int64), tmp_path)
    assert files == sorted(p.name for p in tmp_path.iterdir())
    assert "parameters.txt" not in files
    assert "parameters.txt" not in (tmp_path / "README.txt").read_text()
