"""The check stage's work: both simulators run, told as a result. Of a check that found all equal nothing but the result is kept."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

from arbonn.errors import ToolError
from arbonn.flows.frames import Frames
from arbonn.flows.options import CheckOptions
from arbonn.flows.progress import MORE, Report
from arbonn.flows.results import CheckResult, SimulatorResult
from arbonn.hw.graph import DataflowGraph
from arbonn.sim import check as simulation
from arbonn.sim import runner
from arbonn.sim.amaranth_bench import frames_within
from arbonn.sim.timing import figures, predict

SHORT = 20_000  # cycles of a run, some seconds each, that Amaranth's own simulator is asked for where there is no other


def run_check(graph: DataflowGraph, frames: Frames, options: CheckOptions, folder: Path, report: Report) -> CheckResult:
    """Runs in `folder`; waves of a difference stay there."""
    work = folder / "simulation"
    outcome = simulation.check(
        graph,
        {graph.inputs[0].id: frames.codes},
        work,
        simulation.CheckOptions(
            simulators(graph, len(frames.codes), options), options.stalls, options.patterns, options.seed,
            engine="native" if options.engine == "native" else "cocotb",
        ),
        lambda done, text: report(f"check{MORE}{text}", done),
    )  # fmt: skip
    report("check", 1.0)
    first = outcome.first_difference
    if first is None:
        shutil.rmtree(work, ignore_errors=True)  # compiled simulators: 30 MB that the next check would not use
    predicted = outcome.predicted or figures(graph, predict(graph, 8 + 2 * len(graph.nodes)))
    seen = outcome.seen
    return CheckResult(
        frames=outcome.frames,
        frames_source=frames.source,
        transfers=outcome.transfers,
        bit_mismatches=outcome.bit_mismatches,
        cycle_mismatches=outcome.cycle_mismatches,
        violations=outcome.violations,
        stall_patterns=[asdict(pattern) for pattern in outcome.stall_patterns],
        simulators=[SimulatorResult(**asdict(share)) for share in outcome.simulators],
        predicted_first_out_cycles=predicted.first_out,
        predicted_latency_cycles=predicted.latency,
        predicted_interval_cycles=float(predicted.interval),
        first_out_cycles=seen.first_out if seen else None,
        latency_cycles=seen.latency if seen else None,
        interval_cycles=float(seen.interval) if seen else None,
        first_difference=f"{first.simulator}, stall {first.stalls.probability:g}: {first.difference}" if first else None,
        waves=str(first.waves.relative_to(folder)) if first and first.waves else None,
    )


def simulators(graph: DataflowGraph, frames: int, options: CheckOptions) -> dict[simulation.Name, int | None]:
    """Which simulators are asked, for how many frames. Where there is none and the graph is small, Amaranth's own looks at a few."""
    if options.engine == "amaranth":
        return {"amaranth": frames}
    counts: dict[simulation.Name, int | None] = {"verilator": frames}
    if options.second_frames:
        counts["icarus"] = options.second_frames
    if not any(map(_is_there, runner.NAMES)) and (few := frames_within(graph, SHORT)):
        counts["amaranth"] = min(few, frames)
    return counts


def _is_there(name: runner.Name) -> bool:
    try:
        runner.find(name)
    except ToolError:
        return False
    return True
