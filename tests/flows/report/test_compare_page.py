"""Two runs on one page: their figures with the ratio, names of elements that stay apart, trainings in one plot."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from arbonn.flows.report.compare_page import figures
from tests.flows.report.folders import run_folder
from tests.flows.test_cli import arbonn


def test_the_command_shows_two_runs_side_by_side(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("other", 90)):
        (tmp_path / name).mkdir()
        run_folder(tmp_path / name, name, seed)
    done = arbonn("report", "--compare", "one", "other", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["file"], answer["external_requests"]) == ("one/compare.html", 0)
    page = (tmp_path / "one" / "compare.html").read_text()
    assert len(page.encode()) == answer["bytes"] < 3_000_000
    names = Counter(re.findall(r'\sid="([^"]+)"', page))
    assert [name for name, count in names.items() if count > 1] == []
    assert page.count('<svg class="graph"') == page.count('class="time"') == 2
    assert (
        '<th scope="row">LUTs</th><td class="n" data-v="900">900</td><td class="n" data-v="990">990</td><td class="n" data-v="1.1">1.1</td>'
        in page
    )
    assert '"A one: fc0"' in page
    assert '"B other: fc0"' in page


def test_a_ratio_needs_two_numbers(tmp_path: Path) -> None:
    run = run_folder(tmp_path)
    rows = {str(row[0]): row[1:] for row in figures(run, run.model_copy(update={"bit_mismatches": None, "latency_cycles": 1}))}
    assert rows["bits that differ"] == [0, None, None]
    assert rows["latency, cycles"] == [run.latency_cycles, 1, 1 / run.latency_cycles]
    assert rows["board"] == ["icebreaker", "icebreaker", None]


def test_how_many_folders_is_one_clear_message(tmp_path: Path) -> None:
    done = arbonn("report", "one", "--compare", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2, "InputError: arbonn report: 1 folders\n  allowed  two folders of runs\n  fix      see `arbonn report --help`\n",
    )  # fmt: skip
    done = arbonn("report", "one", "other", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2, "InputError: arbonn report: 2 folders\n  allowed  one folder; two with --compare\n  fix      see `arbonn report --help`\n",
    )  # fmt: skip
