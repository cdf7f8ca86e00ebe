"""Synthesis, place and route with open tools: a graph to a bitstream for a board, with what it takes and how fast it runs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

from arbonn.errors import ArbonnError, FitError, ToolError
from arbonn.flows import families, tools
from arbonn.flows.families import TOP, YOSYS, Cells, Family
from arbonn.flows.progress import Report, silent
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.boards import Board
from arbonn.hw.boards.board import BoardTop
from arbonn.hw.graph import DataflowGraph, Stream
from arbonn.hw.shells.protocol import ends

# As in Amaranth's own Verilog back end; on a copy, so that synthesis goes on with what it was given.
WRITE_VERILOG = f"""design -push-copy
proc -nomux -norom
memory_collect
attrmap -remove generator -remove top -remove src
write_verilog -norename -noattr {TOP}.v
design -pop"""
WRITE_NETLIST = f"write_verilog -norename -noattr {TOP}.syn.v"  # what place and route gets, for the check where no bitstream can be read


@dataclass(frozen=True)
class BuildOutcome:
    """A finished build. `used` and `available` are the packed device's: logic_cells, flip-flops where they are no part of these, brams.

    `slowest_path`: where it begins and ends, in words.
    """

    board: str
    luts: int
    ffs: int
    brams: int
    carry: int
    used: dict[str, int]
    available: dict[str, int]
    fmax_mhz: float
    clock_mhz: float
    bitstream: Path
    versions: dict[str, str]
    seconds: float
    slowest_path: str = ""

    @property
    def timing_met(self) -> bool:
        """False when the slowest path is too slow for the board's clock: the bitstream is there, but must not be trusted."""
        return self.fmax_mhz >= self.clock_mhz

    @property
    def utilisation(self) -> dict[str, float]:
        """Parts of the device in use, in [0, 1]."""
        return {name: self.used[name] / self.available[name] for name in self.used}


def build(
    graph: DataflowGraph, board: Board, folder: Path, *, on_progress: Report = silent, suggest: Callable[[], str] | None = None
) -> BuildOutcome:
    """Builds the bitstream and its companions (`Family.products`) for a board; equal inputs give equal files, wherever they are built.

    suggest  asked only when the network does not fit: which folding would.
    Raises   FitError by how much it does not fit; ToolError for a tool that is missing or fails. A missed clock is no error here.
    """
    return build_accelerator(Accelerator(graph), ends(graph), board, folder, on_progress=on_progress, suggest=suggest)


def build_accelerator(
    accelerator: wiring.Component,
    streams: tuple[Stream, Stream, Stream],
    board: Board,
    folder: Path,
    *,
    on_progress: Report = silent,
    suggest: Callable[[], str] | None = None,
) -> BuildOutcome:
    """`build` for a component that is no graph's; `streams` are its input, label and logits."""
    began = time.monotonic()
    made_by = buildable(board)
    programs = {name: tools.require(program) for name, (_, program) in made_by.programs.items()}
    plan = board.platform().build(
        BoardTop(board, accelerator, streams), name=TOP, do_build=False,
        emit_src=False,  # source attributes hold absolute paths: two checkouts would give different files
        synth_opts=made_by.synth_options,
        script_after_read=WRITE_VERILOG, script_after_synth=WRITE_NETLIST if made_by.netlist == "synthesis" else "",
        nextpnr_opts=made_by.options.format(clock_mhz=board.clock_mhz),
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob(".build-*"):  # of a killed run
        shutil.rmtree(left_over, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=".build-", dir=folder))
    try:
        for name, content in plan.files.items():
            (work / name).write_bytes(content.encode() if isinstance(content, str) else content)
        for name, *arguments in json.loads(plan.files[f"build_{TOP}.json"])["commands"]:
            step = f"{made_by.programs[name][0]} ({name})"
            on_progress(step, 0.0)
            try:
                tools.run([programs[name], *(families.himbaechel(arguments) if name == "nextpnr-gowin" else arguments)], work)
            except ToolError as error:
                raise _explained(error, name, work, board, suggest) from None
            on_progress(step, 1.0)
        cells = made_by.count(json.loads((work / made_by.json).read_text()))
        report = json.loads((work / f"{TOP}.report.json").read_text())
        for suffix in made_by.products:
            os.replace(work / f"{TOP}.{suffix}", folder / f"{TOP}.{suffix}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    packed = {name: report["utilization"][resource] for resource, name in made_by.packed.items()}
    return BuildOutcome(
        board.name, cells.luts, cells.ffs, cells.brams, cells.carry,
        {name: entry["used"] for name, entry in packed.items()}, {name: entry["available"] for name, entry in packed.items()},
        min((clock["achieved"] for clock in report["fmax"].values()), default=0.0), board.clock_mhz, folder / f"{TOP}.{made_by.bitstream}",
        {name: importlib.metadata.version(name) for name in ("amaranth", "amaranth-boards", *made_by.packages)},
        time.monotonic() - began, slowest_path(report),
    )  # fmt: skip


def buildable(board: Board) -> Family:
    """The family of a board's device. Raises ToolError for one whose bitstreams no open tool makes."""
    made_by = families.named(board.family, f"board {board.name}")
    if not made_by.programs:
        raise ToolError(
            f"board {board.name}", found=f"no open tools make bitstreams for {board.family} devices",
            fix=f"arbonn build DIR --board {board.name} writes what the vendor's tools need",
        )  # fmt: skip
    return made_by


def slowest_path(report: Mapping[str, Any]) -> str:
    """The slowest path between two flip-flops or RAMs in nextpnr's report; empty where there is none."""
    inner = [path for path in report["critical_paths"] if path["from"].startswith("posedge") and path["to"].startswith("posedge")]
    if not inner:
        return ""
    steps = max((path["path"] for path in inner), key=lambda steps: sum(step["delay"] for step in steps))
    routing = sum(step["delay"] for step in steps if step["type"] == "routing")
    begin, end = (f"{pin['cell']} ({pin['port']})" for pin in (steps[0]["from"], steps[-1]["to"]))
    return f"{sum(step['delay'] for step in steps):.1f} ns, {routing:.1f} of them wires, from {begin} to {end}"


def synthesize(verilog: str, name: str, family: str = "ice40") -> Cells:
    """Cells of a Verilog module on a family after synthesis alone, no place and route (seconds): what calibrates the cost model."""
    wanted = families.named(family, f"synthesis for {family}")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        (folder / "in.v").write_text(verilog)
        script = f"read_verilog in.v; rename {name} {TOP}; {wanted.synth} -top {TOP}; write_json out.json"
        tools.run([tools.require(YOSYS), "-q", "-p", script], folder)
        return wanted.count(json.loads((folder / "out.json").read_text()))


def _explained(error: ToolError, name: str, work: Path, board: Board, suggest: Callable[[], str] | None) -> ArbonnError:
    """A FitError where place and route stopped because the device is full, else the error itself."""
    log = work / f"{TOP}.tim"
    if not name.startswith("nextpnr") or not log.exists():
        return error
    told = {"logic_cells": "logic cells", "ffs": "flip-flops", "brams": "block RAMs"}
    rows = dict(re.findall(r"^Info:\s+(\w+):\s*(\d+/\s*\d+)", log.read_text(), re.MULTILINE))
    packed = families.named(board.family, f"board {board.name}").packed
    sizes = {told[name]: tuple(map(int, rows[resource].split("/"))) for resource, name in packed.items() if resource in rows}
    if all(used <= available for used, available in sizes.values()):
        return error
    found = ", ".join(
        f"{used} of {available} {what}" + (f" ({used - available} too many)" if used > available else "")
        for what, (used, available) in sizes.items()
    )
    return FitError(
        f"board {board.name}", found=f"the network does not fit: it needs {found}",
        allowed=", ".join(f"{available} {what}" for what, (_, available) in sizes.items()),
        fix=suggest() if suggest is not None else "a slower folding, a smaller network or a larger board",
    )  # fmt: skip
