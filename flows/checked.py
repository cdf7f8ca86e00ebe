"""The check stage's work: both simulators run, told as a result. Of a check that found all equal nothing but the result is kept."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

from arbonn.flows.frames import Frames
from arbonn.flows.options import CheckOptions
from arbonn.flows.progress import Report
from arbonn.flows.results import CheckResult, SimulatorResult
from arbonn.hw.graph import DataflowGraph
from arbonn.sim import check as simulation
from arbonn.sim import runner
from arbonn.sim.timing import figures, predict


def run_check(graph: DataflowGraph, frames: Frames, options: CheckOptions, folder: Path, report: Report) -> CheckResult:
    """Runs in `folder`; waves of a difference stay there."""
    counts: dict[runner.Name, int | None] = {"verilator": len(frames.codes)}
    if options.second_frames:
        counts["icarus"] = options.second_frames
    work = folder / "simulation"
    outcome = simulation.check(
        graph,
        {graph.inputs[0].id: frames.codes},
        work,
        simulation.CheckOptions(counts, options.stalls, options.patterns, options.seed, engine=options.engine),
        lambda done, text: report("check", done),
    )
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
