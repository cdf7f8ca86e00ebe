"""A search is compared with just the jobs that its workers had."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbonn.errors import ToolError
from arbonn.flows.explore import overhead
from arbonn.flows.explore.by_hand import rows_of, turns
from arbonn.flows.explore.space import load_space
from tests.flows.explore.spaces import write_space

BEGAN = datetime(2026, 1, 1)


@given(lengths=st.lists(st.integers(1, 50), max_size=12, unique=True))
def test_each_trial_goes_to_the_worker_that_was_free(lengths: list[int]) -> None:
    """Of two workers, the one whose last trial ended took the next one at once: no two trials of a row overlap, none waits for long."""
    free, wanted, trials = [0, 0], [[], []], []
    for length in lengths:
        worker = free.index(min(free))
        trial = optuna.trial.create_trial(value=float(length))
        trial.datetime_start = BEGAN + timedelta(seconds=free[worker], milliseconds=1)
        free[worker] += length
        trial.datetime_complete = BEGAN + timedelta(seconds=free[worker])
        wanted[worker].append(trial)
        trials.append(trial)
    found = rows_of(trials[::-1])
    busy = sorted(sum(trial.value for trial in row) for row in found)
    assert len(found) == min(len(lengths), 2)
    assert busy == sorted(sum(trial.value for trial in row) for row in wanted if row)


@pytest.mark.slow  # twice two processes, which train and synthesise
def test_both_sides_do_the_same_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overhead.main([str(write_space(tmp_path)), "--by-hand", "3", "--rounds", "1", "--json"])
    found = json.loads(capsys.readouterr().out)
    (turn,) = found["turns"]
    assert (sum(turn["points"]), len(turn["points"])) == (3, 2)
    assert found["ratio"] == turn["search_s"] / turn["by_hand_s"]
    assert min(turn["search_s"], turn["by_hand_s"]) > 1


def test_a_process_that_fails_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    space = load_space(write_space(tmp_path))
    (tmp_path / "space.toml").unlink()
    with pytest.raises(ToolError) as caught:
        turns(space, 2, 1)
    assert str(caught.value) == (
        "ToolError: arbonn.flows.explore.by_hand: a process ended with exit status 1\n  fix      see what it said above"
    )
    assert "space.toml" in capfd.readouterr().err
