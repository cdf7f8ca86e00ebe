"""How long it still takes, on standard error: a bar with the time left on a terminal, a line for each stage anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[str, float], None]
"""Called by stages with what is being done and the finished part of it, in [0, 1]."""


def silent(what: str, done: float) -> None:
    """The default: nothing is shown."""


@contextmanager
def shown() -> Iterator[Report]:
    """A report function that draws; everything it drew is finished when the block ends."""
    if sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _lines()


def _lines() -> Report:
    """In a log file a bar is noise: one line when something begins."""
    begun: set[str] = set()

    def report(what: str, done: float) -> None:
        if what not in begun:
            begun.add(what)
            print(f"{what} ...", file=sys.stderr, flush=True)

    return report


@contextmanager
def _bars() -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<28}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: float) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=1.0)
            progress.update(tasks[what], completed=done)

        yield report
