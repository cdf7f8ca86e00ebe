"""A search that several owners share: each point is handed out once, whoever asks; what an owner that died had is measured by another."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.flows.explore.explore import found_points
from arbonn.flows.explore.space import load_space
from arbonn.flows.explore.storage import Signs, _with_driver
from arbonn.flows.explore.study import key_of, open_study
from tests.flows.explore import postgres
from tests.flows.explore.cluster import ROOT, environment
from tests.flows.explore.spaces import quick, write_space
from tests.flows.explore.test_explore import asked


@settings(max_examples=2)
@given(turns=st.lists(st.integers(0, 1), min_size=8, max_size=16))
def test_of_owners_that_ask_in_turns_none_gets_a_point_of_another(tmp_path_factory: pytest.TempPathFactory, turns: list[int]) -> None:
    """Whoever asks and tells in whatever order: at the end each point was handed out once."""
    folder = tmp_path_factory.mktemp("shared")
    space, url = load_space(write_space(folder)), f"sqlite:///{folder / 'trials.db'}"
    owners = [open_study(space, url, folder, "random", seed, Signs(60, 600)) for seed in range(2)]
    handed: list[str] = []
    for turn in [*turns, *[0, 1] * 8]:
        owner = owners[turn]
        if owner.asked:
            number, trial = next(iter(owner.asked.items()))
            owner.tell(number, trial.params, quick(space, trial.params, folder, None, "synth"))
        elif (given := owner.ask()) is not None:
            handed.append(key_of(given[1]))
    assert len(handed) == len(set(handed)) == space.size
    for owner in owners:
        owner.refresh()
        assert len(owner.known) == space.size
        owner.close()


def test_what_an_owner_leaves_is_asked_for_again(tmp_path: Path) -> None:
    space, url = load_space(write_space(tmp_path)), f"sqlite:///{tmp_path / 'trials.db'}"
    first = open_study(space, url, tmp_path, "tpe", 0)
    begun = [first.ask() for _ in range(3)]
    second = open_study(space, url, tmp_path, "tpe", 1)
    assert second.elsewhere == {key_of(point) for _, point in filter(None, begun)}
    first.close()
    second.refresh()
    assert second.elsewhere == set()
    assert {key_of(given[1]) for given in (second.ask() for _ in range(3)) if given} == {key_of(point) for _, point in filter(None, begun)}
    second.close()


def test_a_point_that_was_given_to_another_owner_is_counted_once(tmp_path: Path) -> None:
    """An owner that slept for longer than its grace comes back and tells what another one measures by now."""
    space, url = load_space(write_space(tmp_path)), f"sqlite:///{tmp_path / 'trials.db'}"
    sleeper, other = (open_study(space, url, tmp_path, "tpe", seed) for seed in (0, 1))
    number, point = sleeper.ask() or (0, {})
    other._again(number, point)  # as `fail_stale_trials` and its retry do
    again, same = other.ask() or (0, {})
    assert same == point
    found = quick(space, point, tmp_path, None, "synth")
    sleeper.tell(number, point, found)
    other.tell(again, same, found)
    states = [trial.state.name for trial in other.study.get_trials()]
    assert states == ["FAIL", "COMPLETE"]
    for owner in (sleeper, other):
        owner.close()


@pytest.mark.slow
def test_two_owners_on_postgresql_lose_nothing_when_one_is_killed(tmp_path: Path) -> None:
    """Two processes search at once; one is killed while it measures. The other one finds it dead, and measures that point too."""
    if reason := postgres.missing():
        pytest.skip(reason)
    space = write_space(tmp_path)
    code = "import sys; from tests.flows.explore.spaces import owner; owner(*sys.argv[1:])"
    with postgres.postgres() as url:
        processes = {
            name: subprocess.Popen([sys.executable, "-c", code, space, tmp_path / name, url, measure], cwd=ROOT, env=environment())
            for name, measure in (("dies", "hanging"), ("lives", "slowly"))
        }
        try:
            for _ in range(600):
                if (tmp_path / "dies" / "hangs").exists():
                    break
                assert processes["dies"].poll() is None
                time.sleep(0.1)
            processes["dies"].kill()
            assert processes["lives"].wait(60) == 0
        finally:
            for process in processes.values():
                process.kill()
                process.wait(10)
        storage = optuna.storages.RDBStorage(_with_driver(url))
        trials = optuna.load_study(study_name="tiny-space", storage=storage).get_trials()
        storage.remove_session()
        storage.engine.dispose()
    dead, alive = asked(tmp_path / "dies"), asked(tmp_path / "lives")
    assert len(dead) == 3
    assert set(dead) & set(alive) == {dead[2]}  # measured twice: what it was killed at, and nothing else
    assert len(dead) + len(alive) == 9
    complete = [key_of(trial.params) for trial in trials if trial.state.name == "COMPLETE"]
    assert len(complete) == len(set(complete)) == 8
    assert not [trial for trial in trials if trial.state.name in ("RUNNING", "WAITING")]
    assert found_points(tmp_path / "lives").trials == 8
