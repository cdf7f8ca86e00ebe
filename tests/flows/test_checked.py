"""Which simulators a check asks: what there is; Amaranth's own where it is wanted, or where there is no other and the graph is small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from arbonn.errors import ToolError
from arbonn.flows import checked
from arbonn.flows.checked import run_check, simulators
from arbonn.flows.frames import Frames
from arbonn.flows.options import CheckOptions
from arbonn.flows.progress import silent
from arbonn.sim import runner
from tests.networks import mlp


def missing(name: runner.Name) -> runner.Simulator:
    raise ToolError(name, found="not on PATH", allowed="any", fix=f"get {name}")


def test_simulators_of_verilog_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "find", lambda name: runner.Simulator(name, "1", ""))
    graph = mlp((8, 4, 2), "uint2", 0)
    assert simulators(graph, 50, CheckOptions()) == {"verilator": 50, "icarus": 20}
    assert simulators(graph, 50, CheckOptions(second_frames=0)) == {"verilator": 50}
    assert simulators(graph, 50, CheckOptions(engine="amaranth")) == {"amaranth": 50}


def test_without_any_a_small_graph_is_checked_on_amaranth_s_own_and_the_result_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runner, "find", missing)
    graph = mlp((8, 4, 2), "uint2", 0)
    frames = Frames(np.random.default_rng(0).integers(0, 4, (5, 8)), "drawn")
    result = run_check(graph, frames, CheckOptions(stalls=(0.0, 0.5)), tmp_path, silent)
    assert [(s.name, s.frames, s.skipped) for s in result.simulators] == [
        ("verilator", 0, "not on PATH; to get it: get verilator"),
        ("icarus", 0, "not on PATH; to get it: get icarus"),
        ("amaranth", 5, None),
    ]
    assert (result.frames, result.bit_mismatches, result.cycle_mismatches, result.first_difference) == (5, 0, 0, None)
    assert result.latency_cycles == result.predicted_latency_cycles


def test_a_large_graph_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "find", missing)
    monkeypatch.setattr(checked, "SHORT", 30)
    assert simulators(mlp((8, 4, 2), "uint2", 0), 50, CheckOptions()) == {"verilator": 50, "icarus": 20}
