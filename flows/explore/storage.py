"""Where the trials of a search are kept: a journal file that one process owns, or a database that many owners share.

An owner of a shared study says every `interval` seconds that the trials it handed out are alive; those of an owner that has not said so
for `grace` seconds are failed and asked for again by any of the others (Optuna's heartbeat and retry).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from arbonn.errors import ArbonnError, InputError
from arbonn.files import writing

JOURNAL = "study.journal"
TRIES = 5  # to open a database, where others make its tables at the same time
KEPT = "everything measured so far is kept: run the same command again when the storage is back"


@dataclass(frozen=True)
class Signs:
    """Seconds between an owner's signs of life, and after how many without one its trials are given to others."""

    interval: int = 30
    grace: int = 120


class Heartbeat:
    """The signs of life of one owner: a thread that gives one for each of its trials until it is stopped."""

    def __init__(self, storage: RDBStorage, signs: Signs) -> None:
        self.storage, self.signs = storage, signs
        self.alive: set[int] = set()
        self._end = Event()
        self._thread: Thread | None = None

    def begin(self, trial: int) -> None:
        """From now on the trial of this id is alive."""
        self.storage.record_heartbeat(trial)
        self.alive.add(trial)
        if self._thread is None:
            self._thread = Thread(target=self._beat, daemon=True)
            self._thread.start()

    def _beat(self) -> None:
        while not self._end.wait(self.signs.interval):
            for trial in list(self.alive):
                with suppress(SQLAlchemyError, optuna.exceptions.OptunaError):  # the owner itself finds a storage that is gone
                    self.storage.record_heartbeat(trial)

    def stop(self) -> None:
        """No further signs; the connections are closed."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        self.storage.remove_session()
        self.storage.engine.dispose()


class Journal(JournalFileBackend):
    """Optuna's file, which has one owner here: no lock, and no waiting for the disk at each of the fifteen lines of a trial.

    What a kill leaves is whole lines; what a loss of power takes is measured in the store, and asked for again.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Adds lines in one write."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self.path.open("ab") as file:
            file.write(text.encode())


@contextmanager
def owned(out: Path) -> Iterator[None]:
    """Holds the folder of a search for this process. Raises InputError while another one holds it."""
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    with (out / ".owner").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            found, fix = "another process searches here", "wait for it, or give another --out"
            raise InputError(str(out), found=found, allowed="one at a time", fix=fix) from None
        yield


@contextmanager
def usable(url: str | None, out: Path) -> Iterator[None]:
    """Around what reads and writes trials: a storage that breaks, is locked or full is one InputError."""
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise InputError("--storage", found=f"cannot be used: {_first_line(error)}", allowed=_allowed(url), fix=KEPT) from None
    except OSError as error:
        if url is not None or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        raise InputError(str(out / JOURNAL), found=f"cannot be written ({os.strerror(error.errno)})", fix=KEPT) from None


@contextmanager
def opened(url: str | None, out: Path, signs: Signs) -> Iterator[BaseStorage]:
    """The database at `url`, or the journal in `out`, for the block that reads it first. Raises InputError for one that cannot be used."""
    where = "--storage" if url is not None else str(out / JOURNAL)
    try:
        yield _open(url, out, signs)
    except ArbonnError:
        raise
    except ImportError as error:
        driver = str(error.__cause__ or error).strip().splitlines()[0]
        fix = "pip install 'arbonn[cluster]'" if url and url.startswith("postgres") else "install the database's driver"
        raise InputError(where, found=f"no driver for this database ({driver})", allowed=_allowed(url), fix=fix) from None
    except Exception as error:  # each database has its own
        raise InputError(where, found=f"cannot be used: {_first_line(error)}", allowed=_allowed(url)) from None


def _open(url: str | None, out: Path, signs: Signs) -> BaseStorage:
    if url is None:
        _drop_unfinished_line(out / JOURNAL)
        return JournalStorage(Journal(out / JOURNAL))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # heartbeats and retries
        for attempt in range(TRIES):
            try:
                return RDBStorage(
                    _with_driver(url), heartbeat_interval=signs.interval, grace_period=signs.grace,
                    heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
                )  # fmt: skip
            except (IntegrityError, ProgrammingError):  # two owners that begin at once both make the tables
                if attempt == TRIES - 1:
                    raise
                time.sleep(0.5)
    raise AssertionError("the last try returns or raises")


def _with_driver(url: str) -> str:
    """PostgreSQL's URL with psycopg 3, which `arbonn[cluster]` installs, in the place of a driver that is not named."""
    parsed = make_url(url)
    if parsed.drivername in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    return url


def _first_line(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) and error.__cause__ else error
    text = str(getattr(cause, "orig", None) or cause).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _allowed(url: str | None) -> str:
    return "a database's URL, or no --storage for a file in the folder of results" if url is not None else "a journal of this search"


def _drop_unfinished_line(journal: Path) -> None:
    """What a full disk or a killed process left of a line: Optuna would append the next line to it, and then read neither."""
    text = journal.read_bytes() if journal.is_file() else b""
    if text and not text.endswith(b"\n"):
        os.truncate(journal, text.rfind(b"\n") + 1)
