"""The soak: the same graph for the same seed, a ledger that goes on after a kill, and a fault that is found and kept."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from arbonn.hw import graph_file
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.mvau import MVAU
from tests.soak import Entry, graph_of, read_ledger, soak, to_probed_verilog


def test_a_seed_is_a_graph() -> None:
    digests = [graph_file.digest(graph_of(seed)) for seed in (0, 1, 2, 0)]
    assert digests[3] == digests[0]
    assert len(set(digests)) == 3


def test_it_goes_on_behind_the_last_whole_line(tmp_path: Path) -> None:
    first = soak(0, tmp_path)
    with (tmp_path / "ledger.jsonl").open("a") as ledger:
        ledger.write('{"seed": 1, "gra')  # killed here
    both = soak(0, tmp_path)
    assert [e.seed for e in both] == [0, 1]
    assert both[:1] == first
    assert all(e.mismatches == 0 < e.transfers for e in both)
    assert read_ledger(tmp_path) == both
    assert [p.name for p in tmp_path.iterdir()] == ["ledger.jsonl"]


def test_a_fault_is_counted_and_kept(tmp_path: Path) -> None:
    def faulty(graph: DataflowGraph) -> str:
        nodes = [replace(n, depth=7 - n.depth) if isinstance(n, MVAU) else n for n in graph.nodes]  # a stage more, or less
        return to_probed_verilog(graph.with_nodes(nodes, graph.streams))

    seed = next(s for s in range(1, 50) if any(isinstance(n, MVAU) for n in graph_of(s).nodes))
    done = Entry(seed - 1, "", units=1, transfers=1, mismatches=0, seconds=0.0)
    ledger = json.dumps(asdict(done)) + "\n"
    (tmp_path / "ledger.jsonl").write_text(ledger)
    last = soak(0, tmp_path, faulty)[-1]
    assert last.seed == seed
    assert last.mismatches > 0
    assert graph_file.load(tmp_path / f"seed_{seed}").nodes
