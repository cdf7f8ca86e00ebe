"""The soak: the same graph for the same seed, a ledger that goes on after a kill, and a fault that is found and kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from arbonn.hw import graph_file
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.mvau import MVAU
from arbonn.sim import runner
from tests.soak import Entry, graph_of, read_ledger, soak, to_probed_verilog


def test_a_seed_is_a_graph() -> None:
    digests = [graph_file.digest(graph_of(seed)) for seed in (0, 1, 2, 0)]
    assert digests[3] == digests[0]
    assert len(set(digests)) == 3


@pytest.fixture
def one_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.soak.STALLS", (0.3,))


def last_of(folder: Path, to_rtl: Callable[[DataflowGraph], str] = to_probed_verilog, batch: int = 1) -> list[Entry]:
    """The ledger after one batch of few graphs on the simulator that compiles in no time."""
    (entries,) = soak(0, folder, to_rtl, batch, {"icarus": 2})
    return entries


@pytest.mark.usefixtures("one_stall")
def test_it_goes_on_behind_the_last_whole_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path.parent)
    first = last_of(Path(tmp_path.name))  # as `make soak` names it: from where it stands
    with (tmp_path / "ledger.jsonl").open("a") as ledger:
        ledger.write('{"seed": 1, "gra')  # killed here
    (tmp_path / "batch_1").mkdir()
    (tmp_path / "batch_1" / "left").touch()
    both = last_of(tmp_path, batch=2)
    assert [e.seed for e in both] == [0, 1, 2]
    assert both[:1] == first
    assert all(e.mismatches == 0 < e.transfers for e in both)
    assert read_ledger(tmp_path) == both
    assert [p.name for p in tmp_path.iterdir()] == ["ledger.jsonl"]


@pytest.mark.usefixtures("one_stall")
def test_a_fault_is_counted_and_kept_and_is_no_other_graphs(tmp_path: Path) -> None:
    def faulty(graph: DataflowGraph) -> str:
        """A pipeline stage more in the first graph."""
        nodes = [replace(n, depth=n.depth + 1) if isinstance(n, MVAU) and n.id.startswith("g0_") else n for n in graph.nodes]
        return to_probed_verilog(graph.with_nodes(nodes, graph.streams))

    seed = next(s for s in range(1, 50) if any(isinstance(n, MVAU) for n in graph_of(s).nodes))
    done = Entry(seed - 1, "", units=1, transfers=1, mismatches=0, seconds=0.0)
    ledger = json.dumps(asdict(done)) + "\n"
    (tmp_path / "ledger.jsonl").write_text(ledger)
    _, wrong, right = last_of(tmp_path, faulty, batch=2)
    assert (wrong.seed, right.seed) == (seed, seed + 1)
    assert wrong.mismatches > 0
    assert right.mismatches == 0
    assert graph_file.digest(graph_file.load(tmp_path / f"seed_{seed}")) == graph_file.digest(graph_of(seed))
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"batch_{seed}", "ledger.jsonl", f"seed_{seed}"]


@pytest.mark.slow
def test_a_batch_is_the_same_on_both_simulators(tmp_path: Path) -> None:
    icarus, verilator = (list(soak(0, tmp_path / name, batch=3, frames={name: 2}))[-1] for name in runner.NAMES[::-1])
    assert [replace(e, seconds=0.0) for e in icarus] == [replace(e, seconds=0.0) for e in verilator]
    assert all(e.mismatches == 0 < e.transfers for e in icarus)
