"""What each unit of a graph takes on a family of devices, by synthesis that keeps the units apart."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from arbonn.flows.packaging.package import cells_by_unit
from arbonn.flows.progress import Report, silent
from arbonn.flows.results import UnitCells
from arbonn.hw.accelerator import TOP, Accelerator
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.verilog import to_verilog


def area(graph: DataflowGraph, family: str, report: Report = silent) -> list[UnitCells]:
    """Cells of the accelerator, then of every unit and of what is in it, after synthesis that keeps them apart."""
    report("synthesis (yosys)", 0.0)
    with tempfile.TemporaryDirectory() as work:
        found = cells_by_unit(to_verilog(Accelerator(graph), TOP), family, Path(work), TOP)
    report("synthesis (yosys)", 1.0)
    return found


def area_lines(units: Sequence[UnitCells]) -> Iterator[str]:
    """The tree as text: a line an instance, indented by its depth; each counts what is in it."""
    yield f"{'LUTs':>7} {'flip-flops':>11} {'block RAMs':>11} {'carry cells':>12}"
    for unit in units:
        name = unit.unit.rsplit("/", 1)[-1] or "the whole"
        indent = "  " * (unit.unit.count("/") + bool(unit.unit))
        yield f"{unit.luts:7} {unit.ffs:11} {unit.brams:11} {unit.carry:12}  {indent}{name}"
