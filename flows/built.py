"""The work of the build and netlist stages: a bitstream made, and the bitstream checked, told as results."""

from __future__ import annotations

import shutil
from pathlib import Path

from arbonn.errors import FitError
from arbonn.files import sha256
from arbonn.flows import netlist, synth
from arbonn.flows.fold import rate, total_cost
from arbonn.flows.progress import Report
from arbonn.flows.results import BuildResult, NetlistResult
from arbonn.flows.target import Target, fastest, link_fps
from arbonn.hw.boards import Board
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph
from arbonn.sim.timing import figures, predict


def run_build(graph: DataflowGraph, board: Board, folder: Path, report: Report) -> BuildResult:
    """Builds in `folder`. Raises FitError where the network does not fit, with a folding that would."""
    outcome = synth.build(graph, board, folder, on_progress=report, suggest=lambda: smaller(graph, board))
    interval = float(figures(graph, predict(graph, 8 + 2 * len(graph.nodes))).interval)
    return BuildResult(
        board=outcome.board,
        luts=outcome.luts,
        ffs=outcome.ffs,
        brams=outcome.brams,
        carry=outcome.carry,
        used=outcome.used,
        available=outcome.available,
        fmax_mhz=outcome.fmax_mhz,
        clock_mhz=outcome.clock_mhz,
        timing_met=outcome.timing_met,
        slowest_path=outcome.slowest_path,
        fps_core_at_fmax=round(outcome.fmax_mhz * 1e6 / interval, 1),
        fps_core_at_clock=round(outcome.clock_mhz * 1e6 / interval, 1),
        fps_link=round(link_fps(graph, board), 1),
        bitstream=outcome.bitstream.name,
        bitstream_bytes=outcome.bitstream.stat().st_size,
        bitstream_sha256=sha256(outcome.bitstream),
    )


def run_netlist(graph: DataflowGraph, board: Board, built: BuildResult, images: Integers, folder: Path, report: Report) -> NetlistResult:
    """Checks in `folder`, of which only the result is kept where all was equal."""
    outcome = netlist.check_netlist(graph, board, outcome_of(built), images, folder / "simulation", on_progress=report)
    counted = all(cycles == outcome.predicted_cycles for cycles in outcome.device_cycles)
    if outcome.good and counted:
        shutil.rmtree(folder / "simulation", ignore_errors=True)
    return NetlistResult(
        compared=outcome.compared,
        frames=outcome.frames,
        mismatches=outcome.mismatches,
        rtl_mismatches=outcome.rtl_mismatches,
        cycles_equal=outcome.cycles_equal and counted,
        device_cycles=list(outcome.device_cycles),
        predicted_cycles=outcome.predicted_cycles,
        edges=outcome.edges,
        first_difference=outcome.first_difference or None,
        skipped=outcome.skipped or None,
    )


def outcome_of(built: BuildResult) -> synth.BuildOutcome:
    """The build as `flows/synth.py` left it, from its result."""
    return synth.BuildOutcome(
        built.board, built.luts, built.ffs, built.brams, built.carry, built.used, built.available, built.fmax_mhz, built.clock_mhz,
        built.file(built.bitstream), {name: version or "" for name, version in built.versions.items()}, built.seconds,
        built.slowest_path,
    )  # fmt: skip


def smaller(graph: DataflowGraph, board: Board) -> str:
    """Advice for a network that did not fit: the fastest folding that takes less than it has now."""
    now = total_cost(graph, board.family)
    room = Target(board, max_luts=max(1, int(0.8 * now.luts))).room()
    try:
        found = fastest(graph, room)
    except FitError:
        return "no folding of this network fits: take a larger board or a smaller network"
    frames = rate(found.interval, board.clock_mhz)
    return f"lower it again with --target-fps {frames}: about {found.cost.luts:.0f} LUTs in place of {now.luts:.0f} (estimated)"
