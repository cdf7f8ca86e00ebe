"""The page of a search: each point once, in its state; limits counted; quick to open and small with 500 points."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from arbonn.errors import InputError
from arbonn.flows.explore.found import ExploreResult
from arbonn.flows.report import read_search, write_search
from arbonn.flows.report.page import external_requests
from arbonn.flows.report.search_page import axes, front_plot, limits, states, table
from tests.flows.report.folders import search_folder
from tests.flows.test_cli import arbonn


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExploreResult]:
    folder = tmp_path_factory.mktemp("search")
    return folder, search_folder(folder, 500)


def test_the_command_writes_500_points_below_3_mb(search: tuple[Path, ExploreResult]) -> None:
    folder, result = search
    done = arbonn("report", folder, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    page = Path(answer["file"]).read_text()
    assert (answer["external_requests"], answer["bytes"]) == (0, len(page.encode()))
    assert len(page.encode()) < 1_500_000
    assert external_requests(page) == []
    rows = re.findall(r'<tr data-row="(\d+)"><th scope="row">(\d+)</th><td>([a-z ]+)</td>', page)
    assert [(int(row), int(name)) for row, name, _ in rows] == [(k, k) for k in range(500)]
    assert [state for *_, state in rows] == states(result)
    assert "123.456" in page
    assert "a point: too large" in page


def test_every_point_is_in_one_state_and_the_front_is_the_search_s(search: tuple[Path, ExploreResult]) -> None:
    _, result = search
    found = states(result)
    assert found.count("front") == len(result.front) > 3
    for point, state in zip(result.points, found, strict=True):
        assert (state == "refused") == (point.refused is not None)
        assert (state == "breaks a limit") == (bool(point.broken) and not point.refused)
    assert limits(result) == [["val_accuracy", ">= 0.5", sum(bool(p.broken) for p in result.points)]]


def test_the_plot_holds_the_points_that_were_measured_and_the_table_all(search: tuple[Path, ExploreResult]) -> None:
    _, result = search
    assert axes(result) == [("luts", "val_accuracy")]
    spec, missing = front_plot(result, "luts", "val_accuracy")
    drawn = {value["row"]: value for data in spec["datasets"].values() for value in data}
    assert missing == sum("luts" not in p.metrics for p in result.points) > 0
    assert sorted(drawn) == [k for k, p in enumerate(result.points) if "luts" in p.metrics]
    assert all(value["luts"] == result.points[row].metrics["luts"] for row, value in drawn.items())
    head, rows = table(result)
    assert head[:5] == ["point", "state", "network.sizes", "fold.target_fps", "method"]
    assert rows[5][head.index("luts")] is None
    assert str(rows[5][-1]).startswith("does not fit")


def test_a_search_for_one_thing_is_drawn_against_what_it_costs(search: tuple[Path, ExploreResult]) -> None:
    _, result = search
    assert axes(result.model_copy(update={"objectives": {"accuracy": "max"}})) == [("luts", "accuracy")]
    assert axes(result.model_copy(update={"objectives": {"luts": "min", "accuracy": "max", "ffs": "min"}})) == [
        ("luts", "accuracy"), ("luts", "ffs"), ("ffs", "accuracy"),
    ]  # fmt: skip


def test_a_search_without_a_front_or_points_is_a_page_too(tmp_path: Path) -> None:
    result = search_folder(tmp_path, 1)
    result = result.model_copy(update={"points": [], "front": [], "constraints": {}, "lost": []})
    write_search(result, tmp_path / "report.html")
    assert "None were given." in (tmp_path / "report.html").read_text()


def test_a_damaged_search_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "explore.json").write_text('{"name": 3}')
    with pytest.raises(InputError) as error:
        read_search(tmp_path)
    assert re.fullmatch(
        rf"InputError: {re.escape(str(tmp_path))}/explore.json: no readable search \(\d+ keys differ\)\n"
        "  allowed  what this version of `arbonn explore` writes\n  fix      run it again",
        str(error.value),
    )
