"""da4ml (Sun et al., arXiv 2507.04535): constant matrix products as shared adders, with its own solver and its own Verilog."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from arbonn.errors import ToolError
from arbonn.flows import tools
from arbonn.flows.bench_hw.kept import Found, kept
from arbonn.flows.cell_counts import SYNTHESIS, CellCounts, counted
from arbonn.flows.doctor import version_of
from arbonn.flows.families import YOSYS
from arbonn.hw.datatypes import Integers

TOP = "dut"
FILES = (f"{TOP}.v", "static/shift_adder.v", "static/negative.v", "static/mux.v")
VECTORS = 200


def require() -> None:
    """Raises ToolError where it is not installed."""
    if version_of("da4ml") is None:
        raise ToolError("da4ml", found="not installed", fix=".venv/bin/pip install -c constraints.txt -e '.[peers]'")


class Solved(NamedTuple):
    """Verilog of whole sums, and which bits of its output are their signs."""

    verilog: str
    signs: tuple[int, ...]


def solve(weights: Integers, folder: Path, *, shallow: bool = False) -> Solved:
    """y = b @ weights for bits b, combinational; `shallow`: with as few adders in a row as can be.

    Its default solver; its own interpreter compared with the matrix on random vectors.
    """
    from da4ml.codegen import RTLModel
    from da4ml.trace import FixedVariableArrayInput, HWConfig, comb_trace
    from da4ml.types import minimal_kif

    options = {"hard_dc": 0} if shallow else {}
    inputs = FixedVariableArrayInput((len(weights),), hwconf=HWConfig(1, -1, -1), solver_options=options)
    logic = comb_trace(inputs, inputs.quantize(0, 1, 0) @ weights)
    bits = np.random.default_rng(0).integers(0, 2, (VECTORS, len(weights)))
    assert (logic.predict(bits.astype(float)) == bits @ weights).all()
    RTLModel(logic, TOP, folder, latency_cutoff=-1, print_latency=False).write()
    formats = [minimal_kif(interval) for interval in logic.out_qint]
    tops = np.cumsum([sum(parts) for parts in formats]) - 1
    signs = tuple(int(top) for top, parts in zip(tops, formats, strict=True) if parts[0])
    return Solved("".join((folder / "src" / name).read_text() for name in FILES), signs)


def cells(verilog: str, bits: Collection[int] = ()) -> CellCounts:
    """Cells of its Verilog after synthesis for 7-series; with `bits` only those that these bits of its output need.

    These were not synthesised again without the others: more than synthesis could make of them.
    """

    def make() -> Found:
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work)
            (folder / "in.v").write_text(verilog)
            script = f"read_verilog in.v; {SYNTHESIS['xc7']} -top {TOP}; write_json out.json"
            tools.run([tools.require(YOSYS), "-q", "-p", script], folder)
            module = json.loads((folder / "out.json").read_text())["modules"][TOP]
        return asdict(counted(needed(module, bits) if bits else module, "xc7"))

    sources = ("flows/cell_counts.py", "flows/bench_hw/da4ml.py")
    return CellCounts(**kept("da4ml", verilog, {"synth": SYNTHESIS["xc7"], "bits": sorted(bits)}, (YOSYS,), sources, make))


def needed(module: Mapping[str, Any], bits: Collection[int]) -> dict[str, Any]:
    """A flat module of yosys' JSON, cut down to what those bits of its output need."""
    (port,) = (name for name, port in module["ports"].items() if port["direction"] == "output")
    kept = [module["ports"][port]["bits"][bit] for bit in bits]
    inputs: dict[str, list[int]] = {}
    driver: dict[int, str] = {}
    for name, cell in module["cells"].items():
        for pin, nets in cell["connections"].items():
            if cell["port_directions"][pin] == "output":
                driver |= dict.fromkeys(nets, name)
            else:
                inputs.setdefault(name, []).extend(nets)
    found: set[str] = set()
    waiting = [driver[net] for net in kept if net in driver]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += [driver[net] for net in inputs[name] if net in driver]
    ports = module["ports"] | {port: module["ports"][port] | {"bits": kept}}
    return {**module, "ports": ports, "cells": {name: cell for name, cell in module["cells"].items() if name in found}}
