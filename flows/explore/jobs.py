"""Where jobs run: in this process, in processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import CRITICAL
from typing import Any, Protocol

from arbonn.errors import ArbonnError, InputError, ToolError

TRIES = 3  # of processes of our own: a job whose process died is run again so often; what it finished before stands in the store
LOOK = 5.0  # seconds after which workers that came or went are seen, if no job ends before


class Jobs(Protocol):
    """Runs functions elsewhere; `done` gives (ticket, result or error) of finished ones, and waits a while for one.

    `slots`: how many can run at once, now: workers of a cluster come and go.
    """

    @property
    def slots(self) -> int: ...

    def submit(self, ticket: int, function: Callable[..., Any], *arguments: Any) -> None: ...

    def done(self) -> Iterator[tuple[int, Any]]: ...


class Here:
    """One after the other, in this process."""

    slots = 1

    def __init__(self) -> None:
        self.waiting: list[tuple[int, Callable[..., Any], tuple[Any, ...]]] = []

    def submit(self, ticket: int, function: Callable[..., Any], *arguments: Any) -> None:
        self.waiting.append((ticket, function, arguments))

    def done(self) -> Iterator[tuple[int, Any]]:
        ticket, function, arguments = self.waiting.pop(0)
        try:
            yield ticket, function(*arguments)
        except (ArbonnError, MemoryError) as error:
            yield ticket, told(error)


class OnDask:
    """Futures on a Dask client: a worker that dies costs its unfinished stage, its job is run again elsewhere."""

    def __init__(self, client: Any, fixed: int | None = None) -> None:
        self.client, self.fixed = client, fixed
        self.tickets: dict[Any, int] = {}
        self._seen, self._looked = 0, -LOOK

    @property
    def slots(self) -> int:
        if self.fixed is not None:
            return self.fixed
        if time.monotonic() - self._looked >= LOOK:
            try:
                self._seen, self._looked = sum(self.client.nthreads().values()), time.monotonic()
            except (OSError, RuntimeError):
                raise _gone() from None
        return self._seen

    def submit(self, ticket: int, function: Callable[..., Any], *arguments: Any) -> None:
        future = self.client.submit(function, *arguments, pure=False, retries=0)
        self.tickets[future] = ticket

    def done(self) -> Iterator[tuple[int, Any]]:
        from distributed import wait

        if not self.tickets:
            time.sleep(0.2)  # no workers yet
            return
        try:
            finished = wait(list(self.tickets), timeout=LOOK, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            return
        for future in finished:
            ticket = self.tickets.pop(future)
            error = future.exception()
            yield ticket, future.result() if error is None else told(error)


def told(error: BaseException) -> ArbonnError:
    """What went wrong with a job, where the user can mend it. Raises what is a defect of ours, and where no job can go on."""
    if isinstance(error, ArbonnError):
        return error
    from distributed.client import FutureCancelledError
    from distributed.scheduler import KilledWorker

    if isinstance(error, KilledWorker):
        fix = "see the workers' logs; a worker out of memory wants fewer jobs at a time"
        return ToolError("worker", found=f"{error.allowed_failures + 1} workers died at the same point", fix=fix)
    if isinstance(error, MemoryError):
        return ToolError("worker", found="out of memory", fix="fewer jobs at a time, or a machine with more of it")
    if isinstance(error, FutureCancelledError):
        raise _gone()
    if isinstance(error, ModuleNotFoundError):
        fix = "install the same versions there as here: constraints.txt"
        raise ToolError("worker", found=f"it cannot import {error.name}", allowed="workers with arbonn installed", fix=fix)
    raise error


def _gone() -> ToolError:
    fix = "what was measured is kept: start the scheduler again, then the same command"
    return ToolError("--cluster", found="the scheduler is gone, or has dropped the jobs", fix=fix)


@contextmanager
def jobs(count: int, cluster: str | None) -> Iterator[Jobs]:
    """`count` processes of this machine, or the workers of the scheduler at `cluster`. Raises InputError for one that does not answer."""
    if cluster is None and count == 1:
        yield Here()
        return
    import dask
    from distributed import Client, LocalCluster

    # Work is in child processes and long loops: a worker that does not answer for a while is at work, not lost.
    settings = {"distributed.scheduler.allowed-failures": TRIES - 1, "distributed.comm.timeouts.connect": "10s",
                "distributed.admin.tick.limit": "1h", "distributed.worker.daemon": False}  # fmt: skip
    with dask.config.set(settings):
        if cluster is None:
            with (
                LocalCluster(n_workers=count, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=CRITICAL) as local,
                Client(local) as client,
            ):
                yield OnDask(client, count)
            return
        try:
            client = Client(cluster, timeout=10)
        except (OSError, ValueError) as error:
            found = f"no Dask scheduler answers at {cluster!r} ({error})"
            raise InputError("--cluster", found=found, allowed="an address such as tcp://host:8786") from None
        with client:
            yield OnDask(client)
