"""A check whose frames are shared out over the workers of a Dask cluster.

Each shard is a check of its own: the accelerator starts from reset, takes the shard's frames in their order under the shard's own stall
patterns, and every bit and every cycle of it is compared with what the models say of just these frames. So the shards together compare
every frame's bits as one check would; what one long run would see beyond that is the passage from the last frame of a shard to the
first of the next. Shards go through the store of the worker: a check that was stopped goes on with those that are missing.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from arbonn.errors import ArbonnError, InputError
from arbonn.flows import stages
from arbonn.flows.explore.jobs import Jobs, jobs
from arbonn.flows.frames import Frames, frames_for
from arbonn.flows.options import CheckOptions, Common
from arbonn.flows.results import CheckResult, SimulatorResult
from arbonn.hw import graph_file
from arbonn.hw.graph import DataflowGraph

PATIENCE = 60.0  # seconds for the first worker to join


def check_on_cluster(
    folder: Path, options: CheckOptions, cluster: str, common: Common = Common(), shards: int | None = None
) -> CheckResult:
    """The check of the graph in `folder` by the workers of the scheduler at `cluster`, in so many shards (one a worker's thread).

    The result is what `stages.check` gives: counts are sums over the shards; cycles of a frame are those of the first and longest shard;
    the first difference is that of the lowest frames. Raises InputError for a scheduler that does not answer or has no workers.
    """
    graph = graph_file.load(folder)
    frames = frames_for(graph, folder, options.images, options.frames, options.seed)
    with jobs(1, cluster) as workers:
        deadline = time.monotonic() + PATIENCE
        while not workers.slots and time.monotonic() < deadline:
            time.sleep(1)
        if not workers.slots:
            raise InputError(
                "--cluster", found=f"the scheduler at {cluster} had no worker for {PATIENCE:g} s", allowed="at least one worker"
            )
        parts = np.array_split(frames.codes, min(shards or workers.slots, len(frames.codes)))
        starts = np.cumsum([0, *(len(part) for part in parts)])
        works = [
            partial(_shard, graph, part, int(start), replace(options, images=None, frames=None, seed=options.seed + k * options.patterns,
                    second_frames=0 if k else options.second_frames))
            for k, (part, start) in enumerate(zip(parts, starts, strict=False))
        ]  # fmt: skip
        results = _all(workers, works, common)
    return merged(results, [int(start) for start in starts[:-1]], frames)


def _all(workers: Jobs, works: Sequence[Callable[[], CheckResult]], common: Common) -> list[CheckResult]:
    """The results in order; the first error ends it."""
    results: dict[int, CheckResult] = {}
    for ticket, work in enumerate(works):
        workers.submit(ticket, work)
    while len(results) < len(works):
        for ticket, found in workers.done():
            if isinstance(found, ArbonnError):
                raise found
            results[ticket] = found
        common.report("check", len(results) / len(works))
    return [results[ticket] for ticket in range(len(works))]


def _shard(graph: DataflowGraph, codes: np.ndarray, start: int, options: CheckOptions) -> CheckResult:
    """On a worker: the check of some frames, through its store."""
    with tempfile.TemporaryDirectory(prefix="arbonn-shard-") as name:
        folder = Path(name)
        graph_file.save(graph, folder)
        images = folder / f"frames-{start}-{start + len(codes) - 1}.npy"
        np.save(images, np.moveaxis(codes, -1, 1))
        return stages.check(folder, replace(options, images=images))


def merged(results: Sequence[CheckResult], starts: Sequence[int], frames: Frames) -> CheckResult:
    """One result of the shards' results; `starts`: the first frame of each."""
    differs = next((k for k, result in enumerate(results) if result.first_difference), None)
    first = None
    if differs is not None:
        first = f"frames from {starts[differs]} on, {results[differs].first_difference}; waves stay in the worker's store"
    return results[0].model_copy(
        update={
            "frames": sum(result.frames for result in results),
            "frames_source": f"{frames.source}; {len(results)} shards, each from reset",
            "transfers": sum(result.transfers for result in results),
            "bit_mismatches": sum(result.bit_mismatches for result in results),
            "cycle_mismatches": sum(result.cycle_mismatches for result in results),
            "violations": sum(result.violations for result in results),
            "stall_patterns": [pattern for result in results for pattern in result.stall_patterns],
            "simulators": _simulators(results),
            "first_difference": first,
            "waves": None,
            "seconds": sum(result.seconds for result in results),
            "cached": all(result.cached for result in results),
            "folder": "",
        }
    )


def _simulators(results: Sequence[CheckResult]) -> list[SimulatorResult]:
    """Each simulator's frames, runs and cycles over all shards; its speed is that of one worker, by the cycles that each ran."""
    shares: dict[str, SimulatorResult] = {}
    for result in results:
        for share in result.simulators:
            before = shares.get(share.name)
            shares[share.name] = share if before is None else _added(before, share)
    return list(shares.values())


def _added(a: SimulatorResult, b: SimulatorResult) -> SimulatorResult:
    seconds = sum(share.cycles / share.cycles_per_s for share in (a, b) if share.cycles_per_s)
    cycles = a.cycles + b.cycles
    return a.model_copy(
        update={
            "frames": a.frames + b.frames, "runs": a.runs + b.runs, "cycles": cycles,
            "cycles_per_s": cycles / seconds if seconds else None, "skipped": a.skipped or b.skipped,
        }
    )  # fmt: skip
