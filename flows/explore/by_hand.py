"""What two workers cost over two jobs started by hand: the same points in the same order, side by side, in turns.

    python -m arbonn.flows.explore.overhead recipes/spaces/digits.toml --by-hand 24

A turn is a search of so many points with two workers, then two processes that a user would start: each measures, one after the other,
what one of the workers had measured, just as far up the ladder. Each side begins with an empty store and is timed from the start of its
processes to the end of the last one. Points are drawn at random; none is built or simulated: the ladder ends at synthesis.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from arbonn.errors import ToolError
from arbonn.flows.explore.explore import Search
from arbonn.flows.explore.jobs import jobs
from arbonn.flows.explore.point import measure
from arbonn.flows.explore.space import Space, load_space
from arbonn.flows.explore.storage import Signs
from arbonn.flows.explore.study import open_study
from arbonn.flows.progress import Report, silent

WORKERS = 2
Job = list[tuple[dict[str, str], str]]
"""Points and how far up the ladder each is measured."""


@dataclass(frozen=True)
class Turn:
    """Seconds of the wall clock: of the search, and of the same jobs started by hand; points by job."""

    search_s: float
    by_hand_s: float
    points: list[int]


def turns(space: Space, trials: int, rounds: int, report: Report = silent) -> list[Turn]:
    """So many turns, one after the other, each from nothing. Raises ToolError for a process that fails."""
    found = []
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="arbonn-by-hand-") as name:
            folder = Path(name)
            report("the search", number / rounds)
            search_s = _took([{"space": str(space.path), "out": str(folder / "search"), "trials": trials}], folder / "search-store")
            split = split_of(space, folder / "search")
            report("the same by hand", (number + 0.5) / rounds)
            tasks = [{"space": str(space.path), "out": str(folder / f"job{k}"), "points": job} for k, job in enumerate(split)]
            found.append(Turn(search_s, _took(tasks, folder / "by-hand-store"), [len(job) for job in split]))
    return found


def split_of(space: Space, folder: Path) -> list[Job]:
    """What each worker of the search in `folder` measured, in its order, from when each trial began and ended."""
    with closing(open_study(space, None, folder, "random", 0, Signs())) as study:
        trials = [trial for trial in study.study.get_trials(deepcopy=False) if "measured" in trial.user_attrs]
    return [[(trial.params, trial.user_attrs["measured"]["rung"]) for trial in row] for row in rows_of(trials)]


def rows_of(trials: Sequence[FrozenTrial]) -> list[list[FrozenTrial]]:
    """Trials as rows one behind the other: each follows the one that ended last before it began, which is what freed its worker."""
    rows: list[list[FrozenTrial]] = []
    for trial in sorted(trials, key=lambda trial: _time(trial.datetime_start)):
        free = [row for row in rows if _time(row[-1].datetime_complete) <= _time(trial.datetime_start)]
        if free:
            max(free, key=lambda row: _time(row[-1].datetime_complete)).append(trial)
        else:
            rows.append([trial])
    return rows


def _time(moment: Any) -> float:
    return float(moment.timestamp())


def _took(tasks: Sequence[dict[str, Any]], store: Path) -> float:
    """Seconds until the last of some processes of ours has ended, which share a store."""
    environment = {**os.environ, "ARBONN_STORE": str(store), "OMP_NUM_THREADS": "1"}  # as Dask's workers have
    began = time.perf_counter()
    started = [subprocess.Popen([sys.executable, "-m", __name__, json.dumps(task)], env=environment) for task in tasks]
    try:
        codes = [process.wait() for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    if any(codes):
        raise ToolError(__name__, found=f"a process ended with exit status {max(codes, key=abs)}", fix="see what it said above")
    return time.perf_counter() - began


def _main(task: dict[str, Any]) -> None:
    """A process: a search with workers, or a job by hand."""
    space = load_space(Path(task["space"]))
    space, out = replace(space, file=space.file.model_copy(update={"ladder": "synth"})), Path(task["out"])
    if "points" in task:
        for point, rung in task["points"]:
            measure(space, point, out, None, rung)
        return
    out.mkdir()
    with jobs(WORKERS, None) as workers, closing(open_study(space, None, out, "random", 0)) as study:
        Search(space, study, out, None, workers, silent).run(task["trials"])


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
