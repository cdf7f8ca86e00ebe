"""An owner of a search: asks Optuna for points, hands them out, tells what was found; what is told survives a kill.

A journal has one owner: what it had handed out when it was killed is asked for again at the next start. A database may have many: each
takes only what no other has, and goes on with what an owner that died had handed out.

The sampler works on a copy of the trials in memory; the journal or database gets one trial for each point that is handed out.
"""

from __future__ import annotations

import hashlib
import json
import random
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from arbonn.errors import InputError
from arbonn.flows.explore.point import Measured
from arbonn.flows.explore.samplers import Sampler, sampler_of
from arbonn.flows.explore.space import Point, Space
from arbonn.flows.explore.storage import Heartbeat, Signs, opened

REPEATS = 5  # points known already that the sampler may ask for before it is given the nearest new one
LISTED = 1 << 20  # points of a space that are listed one by one
REFUSED = "design"  # the constraint that a refused point breaks, so that the sampler learns where there are no designs


class Study:
    """The trials of one search. `elsewhere`: points that other owners of a shared study have handed out."""

    def __init__(self, space: Space, study: optuna.Study, sampler: BaseSampler, seed: int, heartbeat: Heartbeat | None = None) -> None:
        self.space, self.study, self.seed, self.heartbeat = space, study, seed, heartbeat
        self.mind = optuna.create_study(sampler=sampler, directions=directions_of(space))
        self.thoughts: dict[str, optuna.Trial] = {}
        self.study.sampler = _Given()
        self.known: dict[str, Measured] = {}
        self.elsewhere: set[str] = set()
        self.asked: dict[int, optuna.Trial] = {}
        self.out: dict[int, str] = {}  # the keys of their points
        self._read: set[int] = set()  # finished trials: they never change
        identity = identity_of(space)
        before = self.study.user_attrs.get("space")
        if before not in (None, identity):
            raise InputError(
                f"study {space.file.name}", found="a search of another space under this name", allowed="the space that it was begun with",
                fix="give another --out, or another name in the space's file",
            )  # fmt: skip
        self.study.set_user_attr("space", identity)
        if heartbeat is None:
            for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                self._again(trial.number, trial.params)
        self.refresh()

    @property
    def begun(self) -> int:
        """Points that are known or handed out, by anyone."""
        return len(self._taken())

    def refresh(self) -> None:
        """Takes what was told, by others too; trials of owners that died are put in the queue again."""
        if self.heartbeat is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                optuna.storages.fail_stale_trials(self.study)
        self.elsewhere = set()
        for trial in self.study.get_trials(deepcopy=False):
            if trial.number in self._read or trial.number in self.asked:
                continue
            if "measured" in trial.user_attrs:  # also where the owner was killed before the trial was told
                if key_of(trial.params) not in self.known:
                    self.known[key_of(trial.params)] = found = Measured(**trial.user_attrs["measured"])
                    self._learn(trial.params, found)
            elif trial.state == TrialState.RUNNING:
                self.elsewhere.add(key_of(trial.params))
            if trial.state.is_finished():
                self._read.add(trial.number)

    def ask(self) -> tuple[int, Point] | None:
        """A point that is neither known nor handed out by anyone, and its number; None where there is none left."""
        while self.begun < self.space.size:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # heartbeats are ours, not those of `optimize`
                trial = self.study.ask()  # what a dead owner had, if there is such
            if self.heartbeat is not None:
                self.heartbeat.begin(trial._trial_id)  # before the point: whoever wants one has given a sign of life
            wanted = self._thought(trial.params).params if trial.params else self._wish()
            self.study.sampler = _Given(wanted)
            point = self._suggested(trial)
            if self._mine(trial, point):
                return trial.number, point
            self.study.tell(trial, state=TrialState.FAIL)
            self._forget(point)
        return None

    def _wish(self) -> Point:
        """What the sampler would like of what nobody has."""
        for _ in range(REPEATS):
            trial = self.mind.ask()
            point = self._suggested(trial)
            if key_of(point) not in self._taken():
                self.thoughts[key_of(point)] = trial
                return point
            self.mind.tell(trial, state=TrialState.FAIL)  # nothing to learn from it
        nearest = self._nearest(point)
        return point if nearest is None else dict(self._thought(nearest).params)

    def _thought(self, point: Mapping[str, Any]) -> optuna.Trial:
        """The sampler's own trial of a point that it did not ask for."""
        self.mind.enqueue_trial(dict(point), skip_if_exists=False)
        trial = self.mind.ask()
        self.thoughts[key_of(self._suggested(trial))] = trial
        return trial

    def _suggested(self, trial: optuna.Trial) -> Point:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # choices are names: the sampler says that it has no better order for them
            return {axis: str(trial.suggest_categorical(axis, list(choices))) for axis, choices in self.space.axes.items()}

    def _forget(self, point: Mapping[str, Any]) -> None:
        if (thought := self.thoughts.pop(key_of(point), None)) is not None:
            self.mind.tell(thought, state=TrialState.FAIL)

    def _mine(self, trial: optuna.Trial, point: Point) -> bool:
        """Takes the point for this owner, unless it is known or handed out already.

        Owners write which point they want and then look who else wants it. Of two that want the same one the later writer sees the
        other and steps back, whatever the order; where both see each other both step back, and ask for other points.
        """
        self.asked[trial.number] = trial
        if self.heartbeat is not None:
            self.refresh()
        if key_of(point) in self._taken():
            self._done(trial.number)
            return False
        self.out[trial.number] = key_of(point)
        return True

    def _taken(self) -> set[str]:
        return self.known.keys() | self.elsewhere | set(self.out.values())

    def _nearest(self, wanted: Point) -> Point | None:
        """Of the points that nobody has, one that shares the most choices with `wanted`, drawn by the seed."""
        if self.space.size > LISTED:
            return None  # so large that the sampler finds a new one
        taken = self._taken()
        free = [point for point in self.space.points() if key_of(point) not in taken]
        random.Random(self.seed + len(taken)).shuffle(free)
        return max(free, key=lambda point: sum(point[axis] == choice for axis, choice in wanted.items()), default=None)

    def _done(self, number: int) -> optuna.Trial:
        trial = self.asked.pop(number)
        self.out.pop(number, None)
        if self.heartbeat is not None:
            self.heartbeat.alive.discard(trial._trial_id)
        return trial

    def tell(self, number: int, point: Point, measured: Measured) -> None:
        """Keeps what was found of a point that `ask` gave."""
        self.known[key_of(point)] = measured
        trial = self._done(number)
        self._learn(point, measured)
        # Finished already: this owner gave no sign of life for so long that another one was given the point, and it finds the same.
        with suppress(UpdateFinishedTrialError):
            trial.set_user_attr("measured", asdict(measured))
            self._tell(trial, measured)

    def _learn(self, point: Mapping[str, Any], measured: Measured) -> None:
        """Tells the sampler."""
        if key_of(point) not in self.thoughts:
            self._thought(point)
        self._tell(self.thoughts.pop(key_of(point)), measured)

    def _tell(self, trial: optuna.Trial, measured: Measured) -> None:
        for name, excess in zip(self.space.file.constraints, self.excesses(measured), strict=True):
            trial.set_constraint(name, excess)
        if measured.refused:
            trial.set_constraint(REFUSED, 1.0)
            trial.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        else:
            values = [measured.metrics[name] for name in self.space.file.objectives]
            trial.study.tell(trial, values, skip_if_finished=True)

    def lost(self, number: int) -> None:
        """A point that could not be measured: nothing is known of it, and it may be asked for again."""
        trial = self._done(number)
        self._forget(trial.params)
        self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)

    def close(self) -> None:
        """What is handed out and was never told goes back into the queue, for the others or for the next start."""
        for number in list(self.asked):
            self._again(number, self._done(number).params)
        if self.heartbeat is not None:
            self.heartbeat.stop()

    def _again(self, number: int, params: Mapping[str, Any]) -> None:
        with suppress(UpdateFinishedTrialError):
            self.study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
            distributions: dict[str, BaseDistribution] = {
                axis: CategoricalDistribution(list(choices)) for axis, choices in self.space.axes.items() if axis in params
            }
            self.study.add_trial(optuna.create_trial(state=TrialState.WAITING, params=dict(params), distributions=distributions))

    def excesses(self, measured: Measured) -> list[float]:
        """By how much each constraint is broken (positive)."""
        return [c.excess(measured.metrics[c.metric]) if c.metric in measured.metrics else 0.0 for c in self.space.constraints]

    def allowed(self, measured: Measured) -> bool:
        return not measured.refused and all(excess <= 0 for excess in self.excesses(measured))


class _Given(BaseSampler):
    """Gives the point that was thought of elsewhere."""

    def __init__(self, point: Point | None = None) -> None:
        self.point = point or {}

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution) -> Any:
        return self.point[param_name]


def open_study(space: Space, url: str | None, out: Path, sampler: Sampler, seed: int, signs: Signs = Signs()) -> Study:
    """The study in a database, or in the journal in `out`. Raises InputError for one that is broken or cannot be reached."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with opened(url, out, signs) as storage:
        study = optuna.create_study(study_name=space.file.name, storage=storage, directions=directions_of(space), load_if_exists=True)
        return Study(space, study, sampler_of(sampler, seed), seed, Heartbeat(storage, signs) if isinstance(storage, RDBStorage) else None)


def directions_of(space: Space) -> list[StudyDirection]:
    """Which way each objective is better."""
    ways = {"max": StudyDirection.MAXIMIZE, "min": StudyDirection.MINIMIZE}
    return [ways[way] for way in space.file.objectives.values()]


def identity_of(space: Space) -> str:
    """Hash of what a search is about: another recipe, axis or objective is another search."""
    about = {"base": space.base, "axes": space.axes, "objectives": space.file.objectives, "seeds": space.file.seeds}
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def key_of(point: Mapping[str, Any]) -> str:
    """A name for a point that does not depend on the order of its axes."""
    return json.dumps({axis: str(choice) for axis, choice in point.items()}, sort_keys=True)
