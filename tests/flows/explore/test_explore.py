"""A search knows each point once, goes on where it was stopped, and ends with the front of what it knows."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest

from arbonn.errors import FitError, InputError
from arbonn.flows.explore import explore as module
from arbonn.flows.explore.explore import ExploreOptions, explore, found_points
from arbonn.flows.explore.front import dominates
from arbonn.flows.explore.jobs import jobs
from arbonn.flows.explore.storage import JOURNAL, owned
from tests.flows.explore import spaces
from tests.flows.explore.cluster import cluster
from tests.flows.explore.spaces import SPACE, metrics_of, write_space


@pytest.fixture
def measured_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "measure", spaces.quick)


def asked(folder: Path) -> list[str]:
    return (folder / "asked.txt").read_text().splitlines()


@pytest.mark.usefixtures("measured_quickly")
@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_every_point_is_measured_once_and_the_front_is_right(tmp_path: Path, sampler: str) -> None:
    result = explore(write_space(tmp_path), ExploreOptions(trials=20, sampler=sampler), tmp_path / "out")  # type: ignore[arg-type]
    assert (result.trials, result.new, result.size) == (8, 8, 8)
    assert len(set(asked(tmp_path / "out"))) == len(asked(tmp_path / "out")) == 8
    assert [(p.metrics["val_accuracy"] > 0.6, p.metrics["luts"]) for p in sorted(result.front, key=lambda p: p.metrics["luts"])] == [
        (False, 100), (True, 200), (True, 210),
    ]  # fmt: skip
    # Slices along LUTs: 100 wide at 0.5, 10 at 0.7, the rest at 0.8, each above the reference's 0.1.
    assert result.hypervolume == pytest.approx(0.4 * 100 + 0.6 * 10 + 0.7 * (5000 - 210))
    assert found_points(tmp_path / "out") == result


@pytest.mark.usefixtures("measured_quickly")
def test_a_second_run_goes_on_and_measures_nothing_twice(tmp_path: Path) -> None:
    path, out = write_space(tmp_path), tmp_path / "out"
    assert explore(path, ExploreOptions(trials=3), out).new == 3
    journal = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(out / JOURNAL)))
    abandoned = optuna.load_study(study_name="tiny-space", storage=journal).ask()  # as a killed owner leaves it
    for axis, choices in {"network.sizes": ["[4]", "[8]"], "fold.target_fps": ["200", "20000"], "method": ["ste", "irnet"]}.items():
        abandoned.suggest_categorical(axis, choices)
    second = explore(path, ExploreOptions(trials=6), out)
    assert (second.trials, second.new) == (6, 3)
    assert len(asked(out)) == len(set(asked(out))) == 6
    states = [t.state.name for t in optuna.load_study(study_name="tiny-space", storage=journal).get_trials()]
    assert "RUNNING" not in states
    assert states.count("COMPLETE") == 6


@pytest.mark.usefixtures("measured_quickly")
def test_a_line_that_a_full_disk_left_unfinished_is_dropped(tmp_path: Path) -> None:
    path, out = write_space(tmp_path), tmp_path / "out"
    explore(path, ExploreOptions(trials=3), out)
    with (out / JOURNAL).open("ab") as journal:
        journal.write(b'{"op_code": 4, "worker_i')
    assert explore(path, ExploreOptions(trials=6), out).trials == 6
    assert all(json.loads(line) for line in (out / JOURNAL).read_text().splitlines())


@pytest.mark.usefixtures("measured_quickly")
def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(InputError) as error:
        explore(write_space(tmp_path), ExploreOptions(trials=1), tmp_path / "out")
    assert str(error.value) == (
        f"InputError: {tmp_path / 'out'}: cannot be written (File exists)\n  allowed  a place that you may write to"
    )


@pytest.mark.usefixtures("measured_quickly")
def test_another_space_under_the_same_name_is_refused(tmp_path: Path) -> None:
    explore(write_space(tmp_path), ExploreOptions(trials=1), tmp_path / "out")
    with pytest.raises(InputError) as error:
        explore(write_space(tmp_path, SPACE.replace("[[4], [8]]", "[[4], [9]]")), ExploreOptions(trials=1), tmp_path / "out")
    assert str(error.value) == (
        "InputError: study tiny-space: a search of another space under this name\n"
        "  allowed  the space that it was begun with\n  fix      give another --out, or another name in the space's file"
    )


@pytest.mark.usefixtures("measured_quickly")
def test_broken_or_locked_storages_and_dead_clusters_are_one_error(tmp_path: Path) -> None:
    path, out = write_space(tmp_path), tmp_path / "out"
    out.mkdir()
    (out / JOURNAL).write_text("not a journal\n")
    with pytest.raises(InputError) as broken:
        explore(path, ExploreOptions(trials=1), out)
    assert str(out / JOURNAL) in str(broken.value)
    with pytest.raises(InputError, match="--storage: cannot be used"):
        explore(path, ExploreOptions(trials=1, storage="sqlite:////nowhere/at/all.db"), tmp_path / "b")
    with owned(tmp_path / "c"), pytest.raises(InputError, match="another process searches here"):
        explore(path, ExploreOptions(trials=1), tmp_path / "c")
    with pytest.raises(InputError, match="--cluster: no Dask scheduler answers at"), jobs(1, "tcp://127.0.0.1:1"):
        pass


def test_what_can_never_be_measured_ends_in_its_own_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "measure", spaces.never_fits)
    with pytest.raises(FitError, match="too large"):
        explore(write_space(tmp_path), ExploreOptions(trials=8), tmp_path / "out")


@pytest.mark.slow
def test_a_worker_that_dies_loses_nothing_and_no_point_counts_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler and two workers, as three processes of their own."""
    monkeypatch.setattr(module, "measure", spaces.deadly)
    with cluster(tmp_path, workers=2) as address:
        result = explore(write_space(tmp_path), ExploreOptions(trials=8, cluster=address), tmp_path / "out")
    assert (tmp_path / "out" / "died").exists()
    assert (result.trials, result.lost) == (8, [])
    assert len(asked(tmp_path / "out")) == len(set(asked(tmp_path / "out"))) == 8
    points = [metrics_of(p.point) for p in result.points]
    best = {(-m["val_accuracy"], m["luts"]) for m in points}
    assert all(not any(dominates(other, (-p.metrics["val_accuracy"], p.metrics["luts"])) for other in best) for p in result.front)
