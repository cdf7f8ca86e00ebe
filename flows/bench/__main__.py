"""Prints the table of all measurements and writes them as JSON: `python -m arbonn.flows.bench [FILE]`, by default build/bench.json.

`make bench` sets one thread for both sides; numpy and onnxruntime read that before anything here could.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from arbonn.files import write_text
from arbonn.flows.bench.measures import Row, all_rows
from arbonn.flows.doctor import simulator_version, version_of


def main(path: Path) -> None:
    """Measures, prints each row as it comes, and keeps them in `path`."""
    found: dict[str, object] = {}
    data = os.environ.get("ARBONN_DATA")
    for name, rows in all_rows(Path(data) if data else None):
        found[name] = rows if isinstance(rows, str) else [asdict(row) for row in rows]
        for line in [f"{name}: left out: {rows}"] if isinstance(rows, str) else map(_line, rows):
            print(line, flush=True)
    versions = {tool: version_of(tool) for tool in ("arbonn", "numpy", "numba", "qonnx", "onnxruntime", "cocotb")}
    versions |= {"python": platform.python_version(), "verilator": simulator_version("verilator")}
    date = datetime.now(UTC).isoformat(timespec="seconds")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"schema": 1, "date": date, "versions": versions, "load": os.getloadavg()[0], **found}, indent=1) + "\n")
    print(path)


def _line(row: Row) -> str:
    ratio = "" if row.ratio is None else f"{row.ratio:12,.2f} x {row.against}"
    goal = "" if row.goal is None else f"  (goal {row.goal:,g})"
    return f"{row.what:48} {row.per_second:16,.0f} {row.unit}/s {ratio}{goal}"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("build") / "bench.json")
