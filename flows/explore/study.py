"""The owner of a search: asks Optuna for points, hands them out, tells what was found; what is told survives a kill.

One process owns a study. What it had handed out when it was killed is asked for again at the next start.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import random
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState

from arbonn.errors import InputError
from arbonn.files import writing
from arbonn.flows.explore.point import Measured
from arbonn.flows.explore.space import Point, Space

Sampler = Literal["tpe", "nsga2", "random"]
REPEATS = 20  # points known already that the sampler may ask for before it is given a new one
JOURNAL = "study.journal"


class Study:
    """The trials of one search, in a journal file or a database."""

    def __init__(self, space: Space, study: optuna.Study, seed: int) -> None:
        self.space, self.study, self.seed = space, study, seed
        self.known: dict[str, Measured] = {}
        self.asked: dict[int, optuna.Trial] = {}
        identity = identity_of(space)
        before = self.study.user_attrs.get("space")
        if before not in (None, identity):
            raise InputError(
                f"study {space.file.name}", found="a search of another space under this name", allowed="the space that it was begun with",
                fix="give another --out, or another name in the space's file",
            )  # fmt: skip
        self.study.set_user_attr("space", identity)
        self._recover()

    def _recover(self) -> None:
        """Takes what was told before, and asks again for what was handed out and never told."""
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state == TrialState.COMPLETE or "measured" in trial.user_attrs:
                self.known[key_of(trial.params)] = Measured(**trial.user_attrs["measured"])
            elif trial.state == TrialState.RUNNING:
                self.study.tell(trial.number, state=TrialState.FAIL)
                self.study.enqueue_trial(trial.params, skip_if_exists=False)

    @property
    def exhausted(self) -> bool:
        """Every point of the space is known."""
        return len(self.known) >= self.space.size

    def ask(self, out: set[str]) -> tuple[int, Point] | None:
        """A point that is neither known nor in `out` (handed out at the moment), and its number; None where there is none left."""
        for attempt in range(REPEATS + 1):
            if attempt == REPEATS:
                free = next((p for p in self._shuffled() if key_of(p) not in self.known and key_of(p) not in out), None)
                if free is None:
                    return None
                self.study.enqueue_trial(dict(free))
            trial = self.study.ask()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # choices are names: the sampler says that it has no better order for them
                point = {axis: str(trial.suggest_categorical(axis, list(choices))) for axis, choices in self.space.axes.items()}
            if key_of(point) not in self.known and key_of(point) not in out:
                self.asked[trial.number] = trial
                return trial.number, point
            self.study.tell(trial, state=TrialState.FAIL)  # known: nothing to learn from it
        return None

    def _shuffled(self) -> list[Point]:
        points = self.space.points()
        random.Random(self.seed).shuffle(points)
        return points

    def tell(self, number: int, point: Point, measured: Measured) -> None:
        """Keeps what was found of a point that `ask` gave."""
        self.known[key_of(point)] = measured
        trial = self.asked.pop(number)
        trial.set_user_attr("measured", asdict(measured))
        for name, excess in zip(self.space.file.constraints, self.excesses(measured), strict=True):
            trial.set_constraint(name, excess)
        if measured.refused:
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, [measured.metrics[name] for name in self.space.file.objectives])

    def lost(self, number: int) -> None:
        """A point that could not be measured: nothing is known of it, and it may be asked for again."""
        self.study.tell(self.asked.pop(number), state=TrialState.FAIL)

    def excesses(self, measured: Measured) -> list[float]:
        """By how much each constraint is broken (positive)."""
        return [c.excess(measured.metrics[c.metric]) if c.metric in measured.metrics else 0.0 for c in self.space.constraints]

    def allowed(self, measured: Measured) -> bool:
        return not measured.refused and all(excess <= 0 for excess in self.excesses(measured))


def identity_of(space: Space) -> str:
    """Hash of what a search is about: another recipe, axis or objective is another search."""
    about = {"base": space.base, "axes": space.axes, "objectives": space.file.objectives, "seeds": space.file.seeds}
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def owned(out: Path) -> Iterator[None]:
    """Holds the search in `out` for this process. Raises InputError while another one holds it."""
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    with (out / ".owner").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            found, fix = "another process searches here", "wait for it, or give another --out"
            raise InputError(str(out), found=found, allowed="one at a time", fix=fix) from None
        yield


def open_study(space: Space, url: str | None, out: Path, sampler: Sampler, seed: int) -> Study:
    """The study in a database, or in the journal in `out`. Raises InputError for one that is broken or cannot be reached."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ways = {"max": StudyDirection.MAXIMIZE, "min": StudyDirection.MINIMIZE}
    directions = [ways[way] for way in space.file.objectives.values()]
    try:
        if url is None:
            _drop_unfinished_line(out / JOURNAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # heartbeat_interval
            storage: optuna.storages.BaseStorage = (
                optuna.storages.JournalStorage(JournalFileBackend(str(out / JOURNAL)))
                if url is None
                else optuna.storages.RDBStorage(url, heartbeat_interval=60, grace_period=180)
            )
        study = optuna.create_study(
            study_name=space.file.name, storage=storage, sampler=_sampler(sampler, seed), directions=directions, load_if_exists=True
        )
    except Exception as error:  # each database has its own
        where = "--storage" if url is not None else str(out / JOURNAL)
        found = f"cannot be used: {str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}"
        raise InputError(where, found=found, allowed="a database's URL, or no --storage for a file in the folder of results") from None
    return Study(space, study, seed)


def _drop_unfinished_line(journal: Path) -> None:
    """What a full disk or a killed process left of a line: Optuna would append the next line to it, and then read neither."""
    text = journal.read_bytes() if journal.is_file() else b""
    if text and not text.endswith(b"\n"):
        os.truncate(journal, text.rfind(b"\n") + 1)


def _sampler(name: Sampler, seed: int) -> optuna.samplers.BaseSampler:
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(population_size=16, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True)


def key_of(point: Mapping[str, Any]) -> str:
    """A name for a point that does not depend on the order of its axes."""
    return json.dumps({axis: str(choice) for axis, choice in point.items()}, sort_keys=True)
