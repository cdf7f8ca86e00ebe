"""The runs behind a comparison: each through the train stage and its store, several at a time, so nothing is trained twice."""

from __future__ import annotations

import csv
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from arbonn.errors import ArbonnError
from arbonn.flows.options import Common, LowerOptions
from arbonn.flows.recipe import Recipe
from arbonn.flows.store import Store


@dataclass(frozen=True)
class Task:
    """One run, whatever arm it belongs to. `what` is how messages call it."""

    what: str
    recipe: Recipe
    lower: bool
    store: Path


@dataclass(frozen=True)
class Found:
    """Figures of a run: of the finished network, over the last quarter of its epochs, and over all of them."""

    end: dict[str, float]
    late: dict[str, float]
    mean: dict[str, float]
    seconds: float
    cached: bool

    def value(self, measure: str, when: str) -> float | None:
        figures: dict[str, float] = getattr(self, when)
        return figures.get(measure)


def run(task: Task) -> Found:
    """Trains one network, or finds it in the store, and reads its figures."""
    from arbonn.flows import stages

    common = Common(store=Store(task.store))
    try:
        trained = stages.train(task.recipe, common)
        end = {"accuracy": trained.float_accuracy, "val_accuracy": trained.val_accuracy, **trained.measures}
        if task.lower:
            options = LowerOptions(samples=trained.file(trained.test_codes), max_samples=20, board=task.recipe.build.board)
            lowered = stages.lower(trained.file(trained.model), options, common)
            images, labels = trained.file(trained.test_codes), trained.file(trained.test_labels)
            exact = stages.evaluate(Path(lowered.folder), images, labels, common)
            end |= {"luts": lowered.luts_estimated, "interval_cycles": lowered.interval_cycles, "mismatches": lowered.mismatches}
            end |= {"integer_accuracy": exact.accuracy, "integer_gap": abs(exact.accuracy - trained.float_accuracy)}
    except ArbonnError as error:
        raise type(error)(f"{task.what}: {error.where}", found=error.found, allowed=error.allowed, fix=error.fix) from None
    with trained.file("metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    late = rows[-max(len(rows) // 4, 1) :]
    return Found(end, _means(late), _means(rows), trained.seconds, trained.cached)


def _means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0] if name != "epoch"}


def run_all(tasks: Sequence[Task], jobs: int, done: Callable[[int], None]) -> list[Found]:
    """Every run in the order of `tasks`; tasks that train the same are made once. Ctrl-C ends the workers: what they finished is kept."""
    unique: dict[str, Task] = {}
    keys = [f"{task.recipe.key()} {task.lower} {task.recipe.build.board}" for task in tasks]
    for key, task in zip(keys, tasks, strict=True):
        unique.setdefault(key, task)
    found: dict[str, Found] = {}
    for key, result in _each(unique, jobs):
        found[key] = result
        done(sum(key in found for key in keys))
    return [found[key] for key in keys]


def _each(tasks: dict[str, Task], jobs: int) -> Iterator[tuple[str, Found]]:
    if jobs == 1:
        for key, task in tasks.items():
            yield key, run(task)
        return
    # Spawned, not forked: torch's threads do not survive a fork.
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _deaf)
    try:
        waiting = {pool.submit(run, task): key for key, task in tasks.items()}
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(multiprocessing.active_children()) - before:
            worker.terminate()  # a training goes on from its last checkpoint
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _deaf() -> None:
    """Ctrl-C reaches every process of a terminal; the parent alone decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
