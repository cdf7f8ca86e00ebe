"""The table of a bench: groups of rows, printed as they come and kept as JSON with versions, date and load."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from arbonn.errors import ToolError
from arbonn.files import write_text
from arbonn.flows.bench.rows import Row
from arbonn.flows.doctor import simulator_version, version_of

Group = Callable[[Path | None, Path], Iterable[Row]]  # from the folder of data, if any, and a folder for files


def measure(path: Path, names: Sequence[str], groups: Mapping[str, Group], tools: Sequence[str]) -> None:
    """Measures the groups `names`, prints each row as it comes, and keeps in `path` what is done; one that lacks a tool says so."""
    versions = {tool: version_of(tool) for tool in tools}
    versions |= {"python": platform.python_version(), "verilator": simulator_version("verilator")}
    date = datetime.now(UTC).isoformat(timespec="seconds")
    print(date, ", ".join(f"{tool} {version}" for tool, version in versions.items()), sep="\n")
    print(f"{'':48} {'goal':>12} {'seen':>26}  {'':11} ratio")
    found: dict[str, object] = {}
    took: dict[str, float] = {}
    data = os.environ.get("ARBONN_DATA")
    path.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            found[name] = rows = []
            try:
                for row in groups[name](Path(data) if data else None, Path(folder)):
                    print(row, flush=True)
                    rows.append(asdict(row) | {"reached": row.reached})
            except ToolError as error:
                found[name] = str(error)
                print(f"{name}: left out: {error}", flush=True)
        took[name] = round(time.monotonic() - began, 1)
        print(f"{name}: {took[name]:,.0f} s", flush=True)
        told = {"schema": 2, "date": date, "versions": versions, "load": os.getloadavg()[0], "seconds": took, **found}
        write_text(path, json.dumps(told, indent=1) + "\n")
    print(path)


def names_of(text: str, groups: Mapping[str, Group]) -> list[str]:
    """Groups, from their names with commas."""
    names = text.split(",")
    if wrong := [name for name in names if name not in groups]:
        raise argparse.ArgumentTypeError(f"no measurement {wrong[0]!r}; allowed: {', '.join(groups)}")
    return names


def command(prog: str, description: str, groups: Mapping[str, Group], tools: Sequence[str]) -> None:
    """The bench as a command: `[FILE] [--only NAMES]`."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("file", type=Path, nargs="?", default=Path("build") / f"{prog}.json")
    only = partial(names_of, groups=groups)
    parser.add_argument("--only", type=only, default=list(groups), metavar="NAMES", help=f"with commas, of {', '.join(groups)}")
    options = parser.parse_args()
    measure(options.file, options.only, groups, tools)
