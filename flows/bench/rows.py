"""A line of the table, and the clocks behind it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TypeVar

SECONDS = 2.0  # of each side of a comparison, at least
T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """What was measured, the figure `seen` in `unit`, and its `ratio` to what stands `against` it.

    goal   of the ratio where there is one, else of what was seen: at least so much, or with `less` at most.
    ended  what was measured ran into its time limit: `seen` is that limit.    note  what else is to be said, at the end of the line.
    """

    what: str
    seen: float
    unit: str
    ratio: float | None = None
    against: str = ""
    goal: float | None = None
    less: bool = False
    ended: bool = False
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        judged = self.seen if self.ratio is None else self.ratio
        return not self.ended and (judged <= self.goal if self.less else judged >= self.goal)

    def __str__(self) -> str:
        def number(value: float) -> str:
            return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"

        goal = "" if self.goal is None else f"{'<=' if self.less else '>='} {self.goal:,g}"
        ratio = "" if self.ratio is None else f"{number(self.ratio)} x {self.against}"
        verdict = "" if self.reached is None else "reached" if self.reached else "not reached"
        seen = f"{'> ' if self.ended else ''}{number(self.seen)} {self.unit}"
        return f"{self.what:48} {goal:>12} {seen:>26}  {verdict:11} {ratio}{self.note}".rstrip()


def fastest(work: Callable[[], object], amount: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """The best rate of several runs: what disturbs can only slow down."""
    work()
    best, spent = float("inf"), 0.0
    while spent < SECONDS:
        begin = clock()
        work()
        took = clock() - begin
        best, spent = min(best, took), spent + took
    return amount / best


def processor_s() -> float:
    """Processor time of this process and of the children that it has waited for: what else runs here does not count."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def timed(what: str, work: Callable[[], T], goal: float, limit_s: float | None = None) -> tuple[Row, T | None]:
    """The processor seconds that `work` takes once, and its result; None if it took longer than `limit_s` seconds of the wall clock."""
    begin = processor_s()
    try:
        with _limited(limit_s):
            result = work()
    except TimeoutError:
        return Row(what, limit_s or 0.0, "s", goal=goal, less=True, ended=True), None
    return Row(what, processor_s() - begin, "s", goal=goal, less=True), result


@contextmanager
def _limited(seconds: float | None) -> Iterator[None]:
    """Raises TimeoutError in what runs longer, at the next step of Python; only in the main thread of a process."""

    def end(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds or 0.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
