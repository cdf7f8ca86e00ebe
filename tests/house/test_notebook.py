"""examples/: each notebook is kept without outputs, and runs as it stands, in silence."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_its_figures(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARBONN_STORE", str(tmp_path / "store"))
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    (tmp_path / "examples").mkdir()
    shutil.copy(path, tmp_path / "examples")
    book = nbformat.read(path, as_version=4)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in book.cells if cell.cell_type == "code")
    NotebookClient(book, timeout=300, resources={"metadata": {"path": tmp_path / "examples"}}).execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    said = [output.text for output in outputs if output.output_type == "stream" and output.name == "stdout"]
    assert said == []
    shown = [kind for output in outputs for kind in output.get("data", {})]
    assert (shown.count("image/svg+xml"), shown.count("text/html")) == (1, 1)  # the image's way, and the front
    assert (tmp_path / "examples" / "build" / "notebook" / "search" / "explore.json").is_file()
