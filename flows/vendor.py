"""The build for AMD boards: all that Vivado and PYNQ need, and what the network costs by open synthesis. Nothing here was run in Vivado."""

from __future__ import annotations

import importlib.metadata
import json
from collections import Counter
from pathlib import Path
from typing import Any

from arbonn.errors import InputError
from arbonn.files import write_text
from arbonn.flows import families, tools
from arbonn.flows.progress import Report, silent
from arbonn.flows.results import PackageResult, UnitCells
from arbonn.flows.vendor_ipxact import component_xml, ports_of
from arbonn.flows.vendor_pynq import DRIVER
from arbonn.flows.vendor_vivado import core, tcl, xdc
from arbonn.hw.boards.amd import AmdBoard
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.shells.axi import axi_verilog
from arbonn.hw.shells.axi_map import TOP, memory_map

SOURCE = f"{TOP}.v"


def package(graph: DataflowGraph, board: AmdBoard, folder: Path, report: Report = silent) -> PackageResult:
    """Writes the Verilog, component.xml, build.tcl, the constraint, the FuseSoC core, the memory map and driver.py into `folder`."""
    if len(graph.inputs) != 1:
        raise InputError(f"board {board.name}", found=f"a graph of {len(graph.inputs)} inputs", allowed="one input: the driver sends one")
    memory, verilog, version = memory_map(graph), axi_verilog(graph), importlib.metadata.version("arbonn")
    texts = {
        SOURCE: verilog,
        f"{TOP}.xdc": xdc(board),
        f"{TOP}.core": core(memory, [SOURCE], version),
        "component.xml": component_xml(memory, ports_of(verilog), [SOURCE], version),
        "build.tcl": tcl(board, memory),
        "memory_map.json": json.dumps(memory.as_json(), indent=1) + "\n",
        "driver.py": DRIVER,
    }
    report("synthesis (yosys)", 0.0)
    units = cells_by_unit(verilog, board.family, folder)
    report("synthesis (yosys)", 1.0)
    for name, text in texts.items():
        write_text(folder / name, text)
    whole = units[0]
    return PackageResult(
        board=board.name, part=board.part, clock_mhz=board.clock_mhz, luts=whole.luts, ffs=whole.ffs, brams=whole.brams, carry=whole.carry,
        units=units, files=sorted(texts),
    )  # fmt: skip


def cells_by_unit(verilog: str, family: str, folder: Path) -> list[UnitCells]:
    """Cells of the whole, then of each instance in it by its path, everything below counted in; hierarchy kept, so nothing is shared."""
    target = families.named(family, f"synthesis for {family}")
    folder.mkdir(parents=True, exist_ok=True)
    source, found = folder / ".synthesis.v", folder / ".synthesis.json"
    try:
        source.write_text(verilog)
        script = f"read_verilog {source.name}; {target.synth.replace(' -flatten', '')} -top {TOP}; write_json {found.name}"
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

    visit(modules[TOP], "")
    return [unit for unit in units if unit.luts or unit.ffs or unit.brams or not unit.unit]
