"""Prints the table of all measurements and writes them as JSON: `python -m arbonn.flows.bench [FILE] [--only cnv,engine]`.

FILE is build/bench.json by default. Both sides get one thread: `make bench` sets it for numpy and numba, which read it before anything
here could; ONNX Runtime takes a thread for every processor that it may use, so all runs on one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from arbonn.errors import ToolError
from arbonn.files import write_text
from arbonn.flows.bench.measures import GROUPS
from arbonn.flows.doctor import simulator_version, version_of

TOOLS = ("arbonn", "numpy", "numba", "torch", "qonnx", "onnxruntime", "amaranth", "cocotb")


def main(path: Path, names: Sequence[str]) -> None:
    """Measures the groups `names`, prints each row as it comes, and keeps them in `path`."""
    versions = {tool: version_of(tool) for tool in TOOLS}
    versions |= {"python": platform.python_version(), "verilator": simulator_version("verilator")}
    date = datetime.now(UTC).isoformat(timespec="seconds")
    print(date, ", ".join(f"{tool} {version}" for tool, version in versions.items()), sep="\n")
    print(f"{'':48} {'goal':>12} {'seen':>26}  {'':11} ratio")
    found: dict[str, object] = {}
    data = os.environ.get("ARBONN_DATA")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = rows = []
            try:
                for row in GROUPS[name](Path(data) if data else None, Path(folder)):
                    print(row, flush=True)
                    rows.append(asdict(row) | {"reached": row.reached})
            except ToolError as error:
                found[name] = str(error)
                print(f"{name}: left out: {error}", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"schema": 2, "date": date, "versions": versions, "load": os.getloadavg()[0], **found}, indent=1) + "\n")
    print(path)


def names_of(text: str) -> list[str]:
    """Groups, from their names with commas."""
    names = text.split(",")
    if wrong := [name for name in names if name not in GROUPS]:
        raise argparse.ArgumentTypeError(f"no measurement {wrong[0]!r}; allowed: {', '.join(GROUPS)}")
    return names


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="bench", description="How fast, side by side in one run.")
    parser.add_argument("file", type=Path, nargs="?", default=Path("build") / "bench.json")
    parser.add_argument("--only", type=names_of, default=list(GROUPS), metavar="NAMES", help=f"with commas, of {', '.join(GROUPS)}")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    main(options.file, options.only)
