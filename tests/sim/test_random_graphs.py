"""Random graphs on Icarus, which sees X: chains and forks with any folding, FIFOs, joins and stalls, bit by bit and cycle by cycle.

Property tests of units run in Amaranth's own simulator (`tests/hw/units`); these graphs are few, since they share one build and one run.
"""

from __future__ import annotations

from pathlib import Path

from arbonn.sim import runner
from arbonn.sim.bench import Bench
from tests.side_by_side import run_cases, side_by_side
from tests.soak import STALLS, case_of, graph_of, to_probed_verilog

SEEDS = range(1000, 1010)  # far from where a soak begins
KINDS = {"MVAU", "Thresholding", "FIFO", "SWG", "DuplicateStreams"}  # some of those that have to be among them


def test_random_graphs_are_exact_on_icarus(tmp_path: Path) -> None:
    graphs = [graph_of(seed) for seed in SEEDS]
    assert {node.kind for graph in graphs for node in graph.nodes} >= KINDS
    joined = side_by_side(graphs)
    cases = [case_of(graph, seed, STALLS[seed % len(STALLS)], 3) for graph, seed in zip(graphs, SEEDS, strict=True)]
    found = run_cases(Bench(joined, runner.find("icarus"), tmp_path, to_probed_verilog(joined)), "run", cases)
    assert [str(comparison.first) for comparison in found] == ["None"] * len(graphs)
    assert all(comparison.transfers > 0 for comparison in found)
