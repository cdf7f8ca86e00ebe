"""The build for AMD boards: all that Vivado and PYNQ need, and what the network costs by open synthesis. Nothing here was run in Vivado."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arbonn.errors import InputError
from arbonn.files import write_text
from arbonn.flows import families, tools
from arbonn.flows.packaging.fusesoc import core
from arbonn.flows.packaging.ipxact import component_xml, ports_of
from arbonn.flows.packaging.pynq import DRIVER
from arbonn.flows.packaging.vivado import tcl, xdc
from arbonn.flows.progress import Report, silent
from arbonn.flows.results import PackageResult, UnitCells
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.boards import Board, boards
from arbonn.hw.boards.amd import AmdBoard, amd_boards
from arbonn.hw.boards.board import BoardTop
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.shells.axi import axi_verilog
from arbonn.hw.shells.axi_map import TOP, memory_map
from arbonn.hw.shells.protocol import ends

SOURCE = f"{TOP}.v"
SIMULATED = re.compile(r'#\(\s*\.SIM_DEVICE\("\w+"\)\s*\)')  # a parameter of clock buffers that yosys' model of them has not


def vendor_boards() -> dict[str, AmdBoard | Board]:
    """The boards whose bitstreams are AMD's tools' to make: those with a processor by AXI, the others by UART."""
    return {**amd_boards(), **{name: b for name, b in boards().items() if b.family in ("xc7", "xcup")}}


def package(graph: DataflowGraph, board: AmdBoard | Board, folder: Path, report: Report = silent) -> PackageResult:
    """Writes into `folder` what AMD's tools need for the board, and counts cells."""
    return package_axi(graph, board, folder, report) if isinstance(board, AmdBoard) else package_uart(graph, board, folder, report)


def package_uart(graph: DataflowGraph, board: Board, folder: Path, report: Report = silent) -> PackageResult:
    """Writes the Verilog of the whole device, its constraints, and Amaranth's Tcl and scripts for Vivado."""
    platform = board.platform()
    plan = platform.build(BoardTop(board, Accelerator(graph), ends(graph)), name=families.TOP, do_build=False, emit_src=False)
    texts = {name: content for name, content in plan.files.items() if not name.endswith(".debug.v")}
    return _packaged(board.name, f"{platform.device}{platform.package}-{platform.speed}", board, texts, families.TOP, folder, report)


def package_axi(graph: DataflowGraph, board: AmdBoard, folder: Path, report: Report = silent) -> PackageResult:
    """Writes the Verilog, component.xml, build.tcl, the constraint, the FuseSoC core, the memory map and driver.py into `folder`."""
    if len(graph.inputs) != 1:
        raise InputError(f"board {board.name}", found=f"a graph of {len(graph.inputs)} inputs", allowed="one input: the driver sends one")
    memory, verilog, version = memory_map(graph), axi_verilog(graph), importlib.metadata.version("arbonn")
    texts = {
        SOURCE: verilog,
        f"{TOP}.xdc": xdc(board),
        f"{TOP}.core": core(TOP, version, memory.graph_digest, [SOURCE]),
        "component.xml": component_xml(memory, ports_of(verilog), [SOURCE], version),
        "build.tcl": tcl(board, memory),
        "memory_map.json": json.dumps(memory.as_json(), indent=1) + "\n",
        "driver.py": DRIVER,
    }
    return _packaged(board.name, board.part, board, texts, TOP, folder, report)


def _packaged(
    name: str, part: str, board: AmdBoard | Board, texts: Mapping[str, str], top: str, folder: Path, report: Report
) -> PackageResult:
    report("synthesis (yosys)", 0.0)
    units = cells_by_unit(texts[f"{top}.v"], board.family, folder, top)
    report("synthesis (yosys)", 1.0)
    for file, text in texts.items():
        write_text(folder / file, text)
    whole = units[0]
    return PackageResult(
        board=name, part=part, clock_mhz=board.clock_mhz, luts=whole.luts, ffs=whole.ffs, brams=whole.brams, carry=whole.carry,
        units=units, files=sorted(texts),
    )  # fmt: skip


def cells_by_unit(verilog: str, family: str, folder: Path, top: str = TOP) -> list[UnitCells]:
    """Cells of the whole, then of each instance in it by its path, everything below counted in; hierarchy kept, so nothing is shared."""
    target = families.named(family, f"synthesis for {family}")
    folder.mkdir(parents=True, exist_ok=True)
    source, found = folder / ".synthesis.v", folder / ".synthesis.json"
    try:
        source.write_text(SIMULATED.sub("", verilog))
        apart = target.synth.replace(" -flatten", "") if " -flatten" in target.synth else f"{target.synth} -noflatten"
        script = f"read_verilog {source.name}; {apart} -top {top}; write_json {found.name}"
        tools.run([tools.require(families.YOSYS), "-q", "-p", script], folder)
        modules = json.loads(found.read_text())["modules"]
    finally:
        source.unlink(missing_ok=True)
        found.unlink(missing_ok=True)
    units: list[UnitCells] = []

    def visit(module: dict[str, Any], path: str) -> Counter[str]:
        place = len(units)
        units.append(UnitCells(unit=path, luts=0, ffs=0, brams=0, carry=0))
        total: Counter[str] = Counter()
        for name, cell in sorted(module["cells"].items()):
            inner = modules.get(cell["type"])
            if inner is not None and not set(inner["attributes"]) & {"blackbox", "whitebox"}:
                total += visit(inner, f"{path}/{name}" if path else name)
            else:
                total.update(target.counts(cell["type"]))
        units[place] = UnitCells(unit=path, **{kind: total[kind] for kind in ("luts", "ffs", "brams", "carry")})
        return total

    visit(modules[top], "")
    return [unit for unit in units if unit.luts or unit.ffs or unit.brams or not unit.unit]
