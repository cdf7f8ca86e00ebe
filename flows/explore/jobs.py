"""Where points are measured: in this process, in processes of this machine, or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import CRITICAL
from typing import Any, Protocol

from arbonn.errors import ArbonnError, InputError, ToolError

TRIES = 3  # a job whose worker died is run again so often; what it finished before stands in the store


class Jobs(Protocol):
    """Runs functions elsewhere; `done` gives (ticket, result or error) of finished ones, waiting for at least one."""

    slots: int

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
        except ArbonnError as error:
            yield ticket, error


class OnDask:
    """Futures on a Dask client: a worker that dies costs its unfinished stage, its job is run again elsewhere."""

    def __init__(self, client: Any, slots: int) -> None:
        self.client, self.slots = client, slots
        self.tickets: dict[Any, int] = {}

    def submit(self, ticket: int, function: Callable[..., Any], *arguments: Any) -> None:
        future = self.client.submit(function, *arguments, pure=False, retries=0)
        self.tickets[future] = ticket

    def done(self) -> Iterator[tuple[int, Any]]:
        from distributed import wait

        finished = wait(list(self.tickets), return_when="FIRST_COMPLETED").done
        for future in finished:
            ticket = self.tickets.pop(future)
            error = future.exception()
            if error is None:
                yield ticket, future.result()
            elif isinstance(error, ArbonnError):
                yield ticket, error
            elif type(error).__name__ in ("KilledWorker", "CancelledError", "FutureCancelledError"):
                fix = "see the workers' logs; a worker out of memory wants fewer jobs at a time"
                yield ticket, ToolError("worker", found=f"it died {TRIES} times at the same point", fix=fix)
            else:
                raise error


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
            yield OnDask(client, max(1, sum(client.nthreads().values())))
