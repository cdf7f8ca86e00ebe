"""The whole check: every simulator, frame and stall; what it says when all is equal, when something differs, when a tool is missing."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from arbonn.errors import ToolError
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.fifo import FIFO
from arbonn.sim import check as check_module
from arbonn.sim import runner
from arbonn.sim.check import CheckOptions, CheckOutcome, check, draw_to_the_end
from arbonn.sim.timing import Figures, predict

ICARUS = {"icarus": 20}


def draw_inputs(graph: DataflowGraph, frames: int) -> dict[str, Integers]:
    random = np.random.default_rng(7)
    return {s.id: random.choice(s.dtype.every(), (frames, *s.shape)) for s in graph.inputs}


@pytest.fixture(scope="module")
def outcome(small_classifier: DataflowGraph, bench_folder: Path) -> CheckOutcome:
    """30 frames on both simulators with all the defaults."""
    return check(small_classifier, draw_inputs(small_classifier, 30), bench_folder)


def test_a_sound_design_is_equal_everywhere(outcome: CheckOutcome) -> None:
    assert outcome.equal is True
    assert (outcome.frames, outcome.bit_mismatches, outcome.cycle_mismatches, outcome.violations) == (30, 0, 0, 0)
    assert outcome.transfers == 19 * 3 * (30 + 20)  # 19 a frame, 3 stalls, all frames on Verilator and 20 on Icarus
    assert [(s.name, s.frames, s.runs, s.skipped) for s in outcome.simulators] == [("verilator", 30, 3, None), ("icarus", 20, 3, None)]
    assert all(s.cycles_per_s and s.cycles for s in outcome.simulators)


def test_the_figures_are_those_of_the_schedules_predicted_and_seen(outcome: CheckOutcome) -> None:
    # hidden is busy for 4 folds of 2 steps, last for 2 of 4: a frame cannot take less than 8 cycles.
    assert outcome.predicted == outcome.seen
    assert outcome.predicted is not None
    assert outcome.predicted.interval >= 8


def test_every_pattern_can_be_drawn_again(outcome: CheckOutcome, small_classifier: DataflowGraph) -> None:
    assert [(p.simulator, p.probability, p.seed) for p in outcome.stall_patterns] == [
        (name, p, 0) for name in ("verilator", "icarus") for p in (0.0, 0.3, 0.9)
    ]
    for pattern in outcome.stall_patterns:
        frames = 30 if pattern.simulator == "verilator" else 20
        again = draw_to_the_end(small_classifier, frames, pattern.probability, pattern.seed)
        assert max(map(len, again.go.values()), default=0) == pattern.cycles


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.95])
def test_stalls_are_drawn_to_the_end(small_classifier: DataflowGraph, probability: float) -> None:
    stalls = draw_to_the_end(small_classifier, 10, probability, 1)
    assert predict(small_classifier, 10, stalls).cycles <= min(map(len, stalls.go.values()))


def test_progress_goes_from_start_to_end(small_thresholder: DataflowGraph, tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    options = CheckOptions(frames=ICARUS, stalls=(0.0, 0.5), patterns=2)
    check(small_thresholder, draw_inputs(small_thresholder, 3), tmp_path, options, lambda share, text: told.append((share, text)))
    assert told == [
        (0.0, "icarus: compiling"),
        (0.25, "icarus: stall 0, seed 0"),
        (0.5, "icarus: stall 0.5, seed 0"),
        (0.75, "icarus: stall 0.5, seed 1"),
    ]


def test_figures_of_the_smallest_design(small_thresholder: DataflowGraph, tmp_path: Path) -> None:
    # 2 transfers a frame through 2 stages: first output after 2, last after 3, a frame every 2 cycles.
    found = check(small_thresholder, draw_inputs(small_thresholder, 4), tmp_path, CheckOptions(frames=ICARUS, stalls=(0.0,)))
    assert found.predicted == found.seen == Figures(2, 3, Fraction(2))


def test_a_simulator_that_is_missing_is_skipped_with_the_reason_or_required(
    monkeypatch: pytest.MonkeyPatch, small_thresholder: DataflowGraph, tmp_path: Path
) -> None:
    def missing(name: runner.Name) -> runner.Simulator:
        raise ToolError(name, found="not on PATH", allowed="any", fix=f"get {name}")

    monkeypatch.setattr(runner, "find", missing)
    inputs = draw_inputs(small_thresholder, 3)
    found = check(small_thresholder, inputs, tmp_path)
    assert [s.skipped for s in found.simulators] == ["not on PATH; to get it: get verilator", "not on PATH; to get it: get icarus"]
    assert (found.frames, found.equal, found.predicted, found.seen) == (0, None, None, None)
    with pytest.raises(ToolError, match="icarus: not on PATH"):
        check(small_thresholder, inputs, tmp_path, CheckOptions(required=("icarus",)))


def shallow(graph: DataflowGraph) -> DataflowGraph:
    """Another design: the FIFO holds one word only."""
    return graph.with_nodes([FIFO(n.id, depth=1) if isinstance(n, FIFO) else n for n in graph.nodes], graph.streams)


@pytest.mark.parametrize("name", ["icarus", pytest.param("verilator", marks=pytest.mark.slow)])
def test_a_difference_comes_with_stream_cycle_and_waves(
    monkeypatch: pytest.MonkeyPatch, small_classifier: DataflowGraph, tmp_path: Path, name: runner.Name
) -> None:
    monkeypatch.setattr(check_module, "Accelerator", lambda graph, probes: Accelerator(shallow(graph), probes))
    options = CheckOptions(frames={name: 20}, stalls=(0.0, 0.9))
    found = check(small_classifier, draw_inputs(small_classifier, 20), tmp_path, options)
    assert found.equal is False
    assert found.bit_mismatches == 0 < found.cycle_mismatches
    first = found.first_difference
    assert first is not None
    assert (first.simulator, first.difference.stream, first.difference.kind) == (name, "bits", "cycle")
    assert first.waves is not None
    assert first.waves.stat().st_size > 1000
    if name == "verilator":
        assert "bits__payload" in first.waves.read_text()
