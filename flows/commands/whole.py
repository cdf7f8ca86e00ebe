"""Commands about whole designs: build, infer, run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arbonn.flows.cli import command
from arbonn.flows.commands.answer import Answer, Board, BuildFolder, Json, RecipeFile, Set, table
from arbonn.flows.options import BuildOptions, Common, InferOptions


@command
def build(
    build: BuildFolder,
    board: Board = "icebreaker",
    netlist_frames: Annotated[int, typer.Option(min=0, help="Frames on which the bitstream is checked; 0 leaves it out.")] = 2,
    json: Json = False,
) -> Answer:
    """Make a bitstream for a board and check what was built at its pins: the bitstream where tools turn it back, else the netlist.

    For AMD's boards, whose bitstreams only Vivado makes, write what Vivado and PYNQ need.

    Example: arbonn build build/digits --board icebreaker
    Next:    arbonn infer build/digits --port /dev/ttyUSB1
    """
    from arbonn.flows import stages
    from arbonn.flows.packaging.package import vendor_boards
    from arbonn.flows.progress import shown

    if board in vendor_boards():
        return _package(build, board)
    options = BuildOptions(board, netlist_frames)
    with shown() as report:
        common = Common(build, report=report)
        result = stages.build(build, options, common)
        netlist = stages.netlist(build, result, options, common) if netlist_frames else None
    used = ", ".join(f"{count} of {result.available[name]} {name.replace('_', ' ')}" for name, count in result.used.items())
    rows = {
        "bitstream": result.file(result.bitstream),
        "cells": f"{result.luts} LUTs, {result.ffs} flip-flops, {result.brams} block RAMs",
        "device": used,
        "clock": f"{result.fmax_mhz:.1f} MHz reached, {result.clock_mhz:g} MHz "
        + ("used" if result.timing_met else f"NEEDED: {result.clock_mhz - result.fmax_mhz:.1f} too few"),
        "slowest path": None if result.timing_met else result.slowest_path,
        "core": f"{result.fps_core_at_clock:,.0f} frames a second at {result.clock_mhz:g} MHz",
        "serial link": f"{result.fps_link:,.0f} frames a second",
    }
    differs = False
    if netlist:
        differs = not netlist.skipped and bool(netlist.mismatches or netlist.rtl_mismatches or not netlist.cycles_equal)
        same = netlist.first_difference if differs else "every answer and every edge equal"
        rows[f"{netlist.compared}, simulated"] = f"skipped: {netlist.skipped}" if netlist.skipped else f"{netlist.frames} frames: {same}"
    skipped = {"netlist": netlist.skipped} if netlist and netlist.skipped else {}
    checked = netlist.as_json() if netlist and not netlist.skipped else None
    data = {**result.as_json(), "netlist": checked, "skipped": skipped}
    return Answer(data, lambda: table(f"{build}: built for {board}", rows), exit_code=1 if differs or not result.timing_met else 0)


def _package(build: Path, board: str) -> Answer:
    """The build for an AMD board."""
    from arbonn.flows import stages
    from arbonn.flows.progress import shown

    with shown() as report:
        result = stages.package(build, board, Common(build, report=report))
    largest = sorted((unit for unit in result.units if "/" in unit.unit), key=lambda unit: -unit.luts)[:8]
    rows = {
        "device": f"{result.part}, {result.clock_mhz:g} MHz",
        "cells": f"{result.luts} LUTs, {result.ffs} flip-flops, {result.brams} block RAMs (open synthesis, units kept apart)",
        "of these": "\n".join(f"{unit.luts:6} LUTs  {unit.ffs:6} flip-flops  {unit.unit}" for unit in largest),
        "files": ", ".join(result.files),
        "folder": result.folder,
        "next": "vivado -mode batch -source "
        + ("build.tcl" if "build.tcl" in result.files else "top.tcl")
        + "   (not run in Vivado by this project)",
    }
    return Answer(result.as_json(), lambda: table(f"{build}: packaged for {board}", rows))


@command
def infer(
    build: BuildFolder,
    port: Annotated[str, typer.Option(help="Serial port of the board, such as /dev/ttyUSB1.", show_default=False)],
    images: Annotated[Path | None, typer.Option(help=".npy file of images; BUILD's test images, else drawn frames.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="How many of them; all by default.")] = None,
    compare: Annotated[bool, typer.Option("--check", help="Compare every class and logit with the reference.")] = False,
    board: Board = "icebreaker",
    json: Json = False,
) -> Answer:
    """Classify images on a board that was programmed with the bitstream.

    Example: arbonn infer build/digits --port /dev/ttyUSB1 --check
    Next:    arbonn report build/digits
    """
    from arbonn.flows import stages
    from arbonn.flows.progress import shown

    with shown() as report:
        options = InferOptions(port, images, frames, compare, board)
        result = stages.infer(build, options, Common(report=report))
    rows = {
        "frames": f"{result.frames} ({result.frames_source})",
        "classes": " ".join(map(str, result.labels[:40])) + (" ..." if result.frames > 40 else ""),
        "frames a second": result.fps_measured,
        "sent again": result.retries,
        "mismatches": result.mismatches,
        "first mismatch": result.first_mismatch,
    }
    return Answer(result.as_json(), lambda: table(f"{build} on {port}", rows), exit_code=1 if result.mismatches else 0)


@command
def run(
    recipe: RecipeFile,
    out: Annotated[Path | None, typer.Option(help="Folder for the results; build/NAME by default.", show_default=False)] = None,
    overrides: Set = None,
    json: Json = False,
) -> Answer:
    """Train, lower, check and build what a recipe describes; nothing that did not change is made again.

    Example: arbonn run recipes/digits.toml
    Next:    arbonn infer build/digits --port /dev/ttyUSB1
    """
    from arbonn.flows.progress import shown
    from arbonn.flows.recipe import load_recipe
    from arbonn.flows.report import rows
    from arbonn.flows.run import problems
    from arbonn.flows.run import run as run_all

    wanted = load_recipe(recipe, overrides or ())
    with shown() as report:
        result = run_all(wanted, out, beside=recipe.parent, report=report)
    wrong = problems(result.stages)
    lines = {
        **rows(result),
        **{f"skipped: {name}": reason for name, reason in result.skipped.items()},
        **{f"problem {number}": text for number, text in enumerate(wrong, 1)},
        "seconds": ", ".join(f"{name} {seconds:.1f}" for name, seconds in result.seconds.items())
        + f"; this run {result.total_seconds:.1f}",
        "report": result.report,
    }
    return Answer(result.as_json(), lambda: table(result.name, lines), exit_code=1 if wrong else 0)
