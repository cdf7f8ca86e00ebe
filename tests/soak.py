"""Random graphs on their RTL for as long as wanted: `python -m tests.soak MINUTES [FOLDER]`, or `make soak MINUTES=n`.

Each seed gives one graph, frames and stalls. A batch of graphs stands side by side in one build of each simulator: Icarus under cocotb,
which sees X, and Verilator as a C++ loop, which takes more frames. Every bit and every cycle on every stream is compared. The ledger
(FOLDER/ledger.jsonl, a line a seed) says what was done: the next soak goes on behind its last seed. A graph that differs is kept in
FOLDER/seed_N, the records of its batch in FOLDER/batch_N, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from arbonn.files import write_text
from arbonn.hw import graph_file
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.verilog import to_verilog
from arbonn.sim import runner
from arbonn.sim.bench import Bench
from arbonn.sim.harness import ACCELERATOR
from arbonn.sim.native import NativeBench
from arbonn.sim.trace import draw_stalls
from tests.side_by_side import Case, run_cases, side_by_side
from tests.strategies import chains, values
from tests.strategies_images import blocks

STALLS = (0.0, 0.3, 0.9)
GRAPHS = chains(longest=6) | blocks()
BATCH = 16  # graphs in one build
FRAMES: dict[runner.Name, int] = {"icarus": 3, "verilator": 20}  # at most, of a graph


@dataclass(frozen=True)
class Entry:
    """One seed's line in the ledger. `mismatches` are of bits, of cycles and of the stream rules, over all stalls."""

    seed: int
    graph: str
    units: int
    transfers: int
    mismatches: int
    seconds: float


def read_ledger(folder: Path) -> list[Entry]:
    """All whole lines; of a soak that was killed while it wrote, the torn one is dropped."""
    path = folder / "ledger.jsonl"
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            entries.append(Entry(**json.loads(line)))
        except json.JSONDecodeError:
            continue
    return entries


def graph_of(seed: int, graphs: st.SearchStrategy[DataflowGraph] = GRAPHS) -> DataflowGraph:
    """The graph of a seed: the last of a few that hypothesis draws, since its first is always the simplest."""
    drawn: list[DataflowGraph] = []

    @hypothesis.seed(seed)
    @settings(max_examples=5, database=None, phases=[Phase.generate], deadline=None, suppress_health_check=list(HealthCheck))
    @given(graphs)
    def keep(graph: DataflowGraph) -> None:
        drawn.append(graph)

    keep()
    return drawn[-1]


def soak_batch(seeds: range, folder: Path, to_rtl: Callable[[DataflowGraph], str], frames: Mapping[runner.Name, int]) -> list[Entry]:
    """Runs the graphs of some seeds under all stalls in `folder`; a batch without a difference leaves nothing there."""
    begin = time.perf_counter()
    graphs = [graph_of(seed) for seed in seeds]
    joined, work = side_by_side(graphs), folder / f"batch_{seeds[0]}"
    verilog = to_rtl(joined)
    transfers, mismatches = [0] * len(graphs), [0] * len(graphs)
    for name, most in frames.items():
        bench = (NativeBench if name == "verilator" else Bench)(joined, runner.find(name), work / name, verilog)
        for probability in STALLS:
            cases = [case_of(graph, seed, probability, most) for graph, seed in zip(graphs, seeds, strict=True)]
            for k, found in enumerate(run_cases(bench, f"stall_{probability:g}", cases)):
                transfers[k] += found.transfers
                mismatches[k] += found.bit_mismatches + found.cycle_mismatches + found.violations
    for graph, seed, wrong in zip(graphs, seeds, mismatches, strict=True):
        if wrong:
            graph_file.save(graph, folder / f"seed_{seed}")
    if not any(mismatches):
        shutil.rmtree(work)
    seconds = round((time.perf_counter() - begin) / len(graphs), 3)
    return [
        Entry(seed, graph_file.digest(graph)[:16], len(graph.nodes), transfers[k], mismatches[k], seconds)
        for k, (graph, seed) in enumerate(zip(graphs, seeds, strict=True))
    ]


def case_of(graph: DataflowGraph, seed: int, probability: float, most: int) -> Case:
    """A graph with one to `most` frames and stalls, all from the seed."""
    random = np.random.default_rng(seed)
    frames = int(random.integers(1, most + 1))
    inputs = {s.id: values(random, s.dtype, (frames, *s.shape)) for s in graph.inputs}
    return Case(graph, inputs, draw_stalls(graph, probability, seed, 3000))


def to_probed_verilog(graph: DataflowGraph) -> str:
    return to_verilog(Accelerator(graph, probes=True), ACCELERATOR)


def soak(
    minutes: float,
    folder: Path,
    to_rtl: Callable[[DataflowGraph], str] = to_probed_verilog,
    batch: int = BATCH,
    frames: Mapping[runner.Name, int] = FRAMES,
) -> Iterator[list[Entry]]:
    """Goes on behind the ledger's last seed until the time is over, one batch at least; the whole ledger after each batch."""
    folder.mkdir(parents=True, exist_ok=True)
    entries, end = read_ledger(folder), time.monotonic() + 60 * minutes
    ledger = folder / "ledger.jsonl"
    write_text(ledger, "".join(json.dumps(asdict(e)) + "\n" for e in entries))  # without a torn line
    while True:
        seed = entries[-1].seed + 1 if entries else 0
        shutil.rmtree(folder / f"batch_{seed}", ignore_errors=True)  # a soak was killed here
        found = soak_batch(range(seed, seed + batch), folder, to_rtl, frames)
        entries += found
        with ledger.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(asdict(entry)) + "\n" for entry in found))
        yield entries
        if time.monotonic() >= end:
            return


def main() -> int:
    """Parses, soaks, and prints after each batch what the whole ledger says."""
    parser = argparse.ArgumentParser(prog="soak", description="Random graphs on their RTL; goes on where the last soak ended.")
    parser.add_argument("minutes", type=float)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("build") / "soak")
    options = parser.parse_args()
    before = len(read_ledger(options.folder))
    entries = read_ledger(options.folder)
    try:
        for entries in soak(options.minutes, options.folder):
            transfers, mismatches = sum(e.transfers for e in entries), sum(e.mismatches for e in entries)
            print(f"graphs {len(entries)} ({len(entries) - before} new), transfers {transfers}, mismatches {mismatches}", flush=True)
    except KeyboardInterrupt:
        print("stopped; the batch under way is run again by the next soak")
    wrong = [e.seed for e in entries if e.mismatches]
    if wrong:
        print(f"seeds that differ: {', '.join(map(str, wrong))}; their graphs are in {options.folder}/seed_N, records in batch_N")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
