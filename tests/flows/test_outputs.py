"""Places that a user names and that cannot be written, and files that are no samples: one error, never a traceback."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from arbonn.errors import FitError, InputError, LoweringError
from arbonn.flows.cli import main
from arbonn.flows.commands.dry import emitted_file
from arbonn.flows.lowered import lower_and_fold
from arbonn.flows.options import LowerOptions
from arbonn.flows.target import Target, fold_for
from arbonn.hw import graph_file
from arbonn.hw.boards import board
from tests.flows.networks import Builder
from tests.networks import mlp


@pytest.mark.parametrize("command", ["show", "explain", "export", "cmvm"])
@pytest.mark.parametrize(("place", "why"), [("file/x.v", "{}"), ("n" * 300, "File name too long")])
def test_a_place_that_cannot_be_written_is_told(
    command: str, place: str, why: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    graph_file.save(mlp((4, 2), "uint4", 1), tmp_path)
    np.save(tmp_path / "w.npy", np.ones((2, 2)))
    (tmp_path / "file").touch()
    out = tmp_path / place
    with pytest.raises(SystemExit) as left:
        main([command, str(tmp_path / "w.npy" if command == "cmvm" else tmp_path), "--out", str(out)])
    said = capfd.readouterr().err
    assert left.value.code == 2
    told = [f"InputError: {out}: cannot be written ({reason})" for reason in (why, "Not a directory", "File exists")]
    lines = [line for line in said.splitlines() if not line.endswith(" ...")]
    assert lines[0] in told
    assert lines[1:] == ["  allowed  a place that you may write to"]


def test_a_dialect_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    graph_file.save(mlp((4, 2), "uint4", 1), tmp_path)
    (tmp_path / "finn-base.onnx").mkdir()
    with pytest.raises(InputError) as caught:
        emitted_file(tmp_path)
    assert str(caught.value) == (
        f"InputError: {tmp_path / 'finn-base.onnx'}: cannot be written (Is a directory)\n  allowed  a place that you may write to"
    )


def test_a_scalar_is_no_sample(tmp_path: Path) -> None:
    b = Builder((1, 4))
    onnx.save(b.then("MatMul", b.weights(np.ones((4, 2), np.float32), 1, np.float32(1))).model(), tmp_path / "net.onnx")
    np.save(tmp_path / "s.npy", np.array(3))
    with pytest.raises(LoweringError) as caught:
        lower_and_fold(tmp_path / "net.onnx", LowerOptions(input="uint4", samples=tmp_path / "s.npy"), tmp_path)
    assert str(caught.value) == "LoweringError: net.onnx: samples of shape ()\n  allowed  (frames, ...) with 4 codes a frame"


def test_a_folding_file_is_held_to_max_luts(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text("{}")
    with pytest.raises(FitError) as caught:
        fold_for(mlp((4, 2), "uint4", 1), Target(board("icebreaker"), path, max_luts=1))
    message = re.sub(r"about \d+ LUTs", "about N LUTs", str(caught.value))  # fewer than without a bound: memories leave the LUTs for it
    assert message == f"FitError: {path}: about N LUTs\n  allowed  1 LUTs (--max-luts)\n  fix      fold more: a smaller PE or SIMD"
    assert caught.value.exit_code == 1
