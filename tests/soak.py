"""Random graphs on their RTL for as long as wanted: `python -m tests.soak MINUTES [FOLDER]`, or `make soak MINUTES=n`.

Each seed gives one graph, frames and stalls; its Verilog runs on Icarus under cocotb, and every bit and every cycle on every stream is
compared. The ledger (FOLDER/ledger.jsonl, a line a seed) says what was done: the next soak goes on behind its last seed. A graph that
differs is kept in FOLDER/seed_N, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
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
from arbonn.sim.bench import MARGIN, Bench, expect
from arbonn.sim.harness import ACCELERATOR
from arbonn.sim.trace import draw_stalls
from tests.strategies import chains, values
from tests.strategies_images import blocks

STALLS = (0.0, 0.3, 0.9)
GRAPHS = chains(longest=6) | blocks()


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


def soak_one(seed: int, folder: Path, to_rtl: Callable[[DataflowGraph], str]) -> Entry:
    """Runs the graph of one seed under all stalls in `folder`, which is removed if all is equal."""
    begin, graph = time.perf_counter(), graph_of(seed)
    random = np.random.default_rng(seed)
    frames = int(random.integers(1, 5))
    inputs = {s.id: values(random, s.dtype, (frames, *s.shape)) for s in graph.inputs}
    bench = Bench(graph, runner.find("icarus"), folder, to_rtl(graph))
    transfers = mismatches = 0
    for probability in STALLS:
        stalls = draw_stalls(graph, probability, seed, 3000)
        expected = expect(graph, inputs, stalls)
        found = bench.run(f"stall_{probability:g}", inputs, stalls, expected.cycles + MARGIN, expected).compared
        assert found is not None
        transfers += found.transfers
        mismatches += found.bit_mismatches + found.cycle_mismatches + found.violations
    if mismatches:
        graph_file.save(graph, folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = round(time.perf_counter() - begin, 3)
    return Entry(seed, graph_file.digest(graph)[:16], len(graph.nodes), transfers, mismatches, seconds)


def to_probed_verilog(graph: DataflowGraph) -> str:
    return to_verilog(Accelerator(graph, probes=True), ACCELERATOR)


def soak(minutes: float, folder: Path, to_rtl: Callable[[DataflowGraph], str] = to_probed_verilog) -> list[Entry]:
    """Goes on behind the ledger's last seed until the time is over, one graph at least; the whole ledger."""
    folder.mkdir(parents=True, exist_ok=True)
    entries, end = read_ledger(folder), time.monotonic() + 60 * minutes
    ledger = folder / "ledger.jsonl"
    write_text(ledger, "".join(json.dumps(asdict(e)) + "\n" for e in entries))  # without a torn line
    while True:
        seed = entries[-1].seed + 1 if entries else 0
        entries.append(soak_one(seed, folder / f"seed_{seed}", to_rtl))
        with ledger.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(entries[-1])) + "\n")
        if time.monotonic() >= end:
            return entries


def main() -> int:
    """Parses, soaks, and prints what the whole ledger says."""
    parser = argparse.ArgumentParser(prog="soak", description="Random graphs on their RTL; goes on where the last soak ended.")
    parser.add_argument("minutes", type=float)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("build") / "soak")
    options = parser.parse_args()
    before = len(read_ledger(options.folder))
    entries = soak(options.minutes, options.folder)
    wrong = [e.seed for e in entries if e.mismatches]
    transfers, mismatches = sum(e.transfers for e in entries), sum(e.mismatches for e in entries)
    print(f"graphs {len(entries)} ({len(entries) - before} new), transfers {transfers}, mismatches {mismatches}")
    if wrong:
        print(f"seeds that differ: {', '.join(map(str, wrong))}; their graphs and records are in {options.folder}/seed_N")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
