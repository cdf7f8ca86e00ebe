"""A storage that is locked, breaks or fills up in the middle of a search is one error, and the next run goes on."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from arbonn.errors import InputError, ToolError
from arbonn.flows.explore import explore as module
from arbonn.flows.explore.explore import ExploreOptions, explore
from arbonn.flows.explore.jobs import OnDask, told
from arbonn.flows.explore.point import Measured
from arbonn.flows.explore.storage import JOURNAL, KEPT, Journal
from tests.flows.explore import spaces
from tests.flows.explore.spaces import write_space

DATABASE = "a database's URL, or no --storage for a file in the folder of results"


def text_of(error: pytest.ExceptionInfo[Any]) -> list[str]:
    return str(error.value).splitlines()


def test_a_full_disk_keeps_what_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "measure", spaces.quick)
    out, append, lines = tmp_path / "out", Journal.append_logs, [0]

    def full(journal: Journal, logs: list[dict[str, Any]]) -> None:
        lines[0] += len(logs)
        if lines[0] > 40:
            raise OSError(errno.ENOSPC, "no space left")
        append(journal, logs)

    monkeypatch.setattr(Journal, "append_logs", full)
    with pytest.raises(InputError) as error:
        explore(write_space(tmp_path), ExploreOptions(trials=8), out)
    monkeypatch.setattr(Journal, "append_logs", append)
    assert text_of(error) == [f"InputError: {out / JOURNAL}: cannot be written (No space left on device)", f"  fix      {KEPT}"]
    before = len((out / "asked.txt").read_text().splitlines())
    assert 0 < before < 8
    assert explore(write_space(tmp_path), ExploreOptions(trials=8), out).trials == 8
    assert len((out / "asked.txt").read_text().splitlines()) <= 9  # the one whose telling failed may be asked for again


def test_a_locked_database_is_told(tmp_path: Path) -> None:
    file = tmp_path / "trials.db"
    connection = sqlite3.connect(file)
    connection.execute("BEGIN EXCLUSIVE")
    with pytest.raises(InputError) as error:
        explore(write_space(tmp_path), ExploreOptions(trials=1, storage=f"sqlite:///{file}?timeout=0.05"), tmp_path / "out")
    connection.close()
    assert text_of(error) == ["InputError: --storage: cannot be used: database is locked", f"  allowed  {DATABASE}"]


def test_a_database_that_breaks_in_the_middle_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "trials.db"

    def breaks(*arguments: Any) -> Measured:
        with sqlite3.connect(file) as connection:
            connection.execute("DROP TABLE trial_user_attributes")
        connection.close()
        return spaces.quick(*arguments)

    monkeypatch.setattr(module, "measure", breaks)
    with pytest.raises(InputError) as error:
        explore(write_space(tmp_path), ExploreOptions(trials=8, storage=f"sqlite:///{file}"), tmp_path / "out")
    assert text_of(error) == [
        "InputError: --storage: cannot be used: no such table: trial_user_attributes",
        f"  allowed  {DATABASE}",
        f"  fix      {KEPT}",
    ]


def test_a_database_without_its_driver_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        explore(write_space(tmp_path), ExploreOptions(trials=1, storage="mysql+pymysql://somewhere/db"), tmp_path / "out")
    assert text_of(error) == [
        "InputError: --storage: no driver for this database (No module named 'pymysql')",
        f"  allowed  {DATABASE}",
        "  fix      install the database's driver",
    ]


class _Client:
    """A Dask client whose jobs all end with one error."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def nthreads(self) -> dict[str, int]:
        return {"worker": 1}

    def submit(self, *arguments: Any, **options: Any) -> Iterator[int]:
        return iter(())


def _killed() -> BaseException:
    from distributed.scheduler import KilledWorker

    return KilledWorker("measure-1", None, 2)  # type: ignore[arg-type]


def _cancelled() -> BaseException:
    from distributed.client import FutureCancelledError

    return FutureCancelledError("measure-1", "scheduler-connection-lost")


def test_what_happens_to_a_worker_is_told() -> None:
    died = told(_killed())
    assert str(died).splitlines() == [
        "ToolError: worker: 3 workers died at the same point",
        "  fix      see the workers' logs; a worker out of memory wants fewer jobs at a time",
    ]
    assert str(told(MemoryError())).splitlines() == [
        "ToolError: worker: out of memory",
        "  fix      fewer jobs at a time, or a machine with more of it",
    ]
    with pytest.raises(ToolError) as gone:
        told(_cancelled())
    assert text_of(gone) == [
        "ToolError: --cluster: the scheduler is gone, or has dropped the jobs",
        "  fix      what was measured is kept: start the scheduler again, then the same command",
    ]
    with pytest.raises(ToolError, match="worker: it cannot import arbonn"):
        told(ModuleNotFoundError("No module named 'arbonn'", name="arbonn"))
    with pytest.raises(ZeroDivisionError):  # a defect keeps its traceback
        told(ZeroDivisionError())


def test_workers_that_join_later_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arbonn.flows.explore.jobs.LOOK", 0.0)
    client = _Client(ValueError())
    workers = OnDask(client)
    assert workers.slots == 1
    client.nthreads = lambda: {"a": 1, "b": 2}  # type: ignore[method-assign]
    assert workers.slots == 3
