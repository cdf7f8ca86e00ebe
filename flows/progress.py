"""How long it still takes, on standard error: a bar with the time left on a terminal, a line for each stage anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[str, float], None]
"""Called by stages with what is being done and the finished part of it, in [0, 1].

What stands after MORE changes as the work goes on (the best so far, say): a terminal shows it below the bars, a log leaves it out.
"""
MORE = " · "


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
        name = what.partition(MORE)[0]
        if name not in begun:
            begun.add(name)
            print(f"{name} ...", file=sys.stderr, flush=True)

    return report


@contextmanager
def _bars() -> Iterator[Report]:
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.text import Text

    class Bars(Progress):
        """Bars, and below them a line for each that has more to tell: in a column of its own it would not fit into 80."""

        def get_renderables(self) -> Iterator[RenderableType]:
            yield self.make_tasks_table(self.tasks)
            for task in self.tasks:
                if task.fields["more"]:
                    yield Text(f"{task.description}: {task.fields['more']}", no_wrap=True, overflow="ellipsis")

    columns = (TextColumn("{task.description:<28}"), BarColumn(24), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: float) -> None:
            name, _, more = what.partition(MORE)
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=None, more="")  # moves until it is known how far it is
            progress.update(tasks[name], total=1.0 if done else None, completed=done, more=more)

        yield report
