"""A Dask scheduler and its workers, as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = str(Path(__file__).parents[3])


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": ROOT, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[str]:
    """The address of a scheduler that so many workers of one thread each have joined or are about to."""
    where = str(folder / "scheduler.json")
    scheduler = ["dask_scheduler", "--scheduler-file", where, "--port", "0", "--no-dashboard"]
    worker = ["dask_worker", "--scheduler-file", where, "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{command[0]}", *command[1:]], cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL
        )
        for command in (scheduler, *[worker] * workers)
    ]
    try:
        yield _address(where, processes)
    finally:
        for process in reversed(processes):  # the workers first
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:  # a nanny may wait for ever for a worker that it has just started again
                process.kill()
                process.wait(10)


def _address(path: str, processes: list[subprocess.Popen[bytes]]) -> str:
    for _ in range(600):
        assert all(process.poll() is None for process in processes)
        if Path(path).exists() and (text := Path(path).read_text()):
            return str(json.loads(text)["address"])
        time.sleep(0.1)
    raise AssertionError("the scheduler did not start")
