"""The bench: what a row says of its goal, the time limit, and that a measurement can be left out."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import pytest

from arbonn.flows.bench.measures import GROUPS
from arbonn.flows.bench.rows import Row, timed
from arbonn.flows.bench.table import measure, names_of


def test_a_goal_is_of_the_ratio_where_there_is_one_else_of_what_was_seen() -> None:
    assert Row("a", 3.0, "s", goal=3, less=True).reached
    assert not Row("a", 3.1, "s", goal=3, less=True).reached
    assert Row("a", 3.1, "images/s", goal=3).reached
    assert not Row("a", 1e9, "images/s", 49.9, "QONNX", 50).reached
    assert Row("a", 1.0, "steps/s", 1.1, "plain", 1.15, less=True).reached
    assert Row("a", 1.0, "steps/s").reached is None
    assert str(Row("rate", 1234.0, "images/s", 49.9, "QONNX", 50)).split() == (
        ["rate", ">=", "50", "1,234", "images/s", "not", "reached", "49.90", "x", "QONNX"]
    )


def test_seconds_are_of_the_processor_and_a_limit_ends_what_takes_longer() -> None:
    row, result = timed("sleep", lambda: time.sleep(0.3) or 7, goal=1)  # type: ignore[func-returns-value]
    assert result == 7
    assert row.seen < 0.2
    assert row.reached
    began = time.monotonic()
    row, result = timed("sleep", lambda: time.sleep(60), goal=1, limit_s=0.1)
    assert time.monotonic() - began < 30
    assert (result, row.ended, row.reached) == (None, True, False)
    assert "> 0.10 s  not reached" in str(row)


def test_only_what_is_asked_for_is_measured_and_what_lacks_its_data_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ARBONN_DATA", raising=False)
    monkeypatch.setitem(GROUPS, "engine", lambda data, folder: [Row("rate", 5.0, "images/s", goal=4)])
    file = tmp_path / "new" / "bench.json"
    measure(file, names_of("engine,rtl", GROUPS), GROUPS, ("numpy",))
    found = json.loads(file.read_text())
    assert set(found) == {"schema", "date", "versions", "load", "seconds", "engine", "rtl"}
    (row,) = found["engine"]
    assert (row["what"], row["seen"], row["goal"], row["reached"]) == ("rate", 5.0, 4, True)
    assert found["rtl"].startswith("ToolError: ARBONN_DATA: not set\n")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == found["date"]
    assert "numpy " in printed[1]
    assert set(found["seconds"]) == {"engine", "rtl"}
    with pytest.raises(argparse.ArgumentTypeError, match=r"no measurement 'cvn'; allowed: engine, methods, cnv, reference, rtl"):
        names_of("engine,cvn", GROUPS)
