"""The sweep as it ships: what was synthesised, what came out, and when; `sweep.json` beside this file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from arbonn.errors import DataError
from arbonn.files import UNREADABLE, write_text
from arbonn.flows.calibrate.spec import unit_of
from arbonn.hw.cost.cost import Parts

SWEEP = Path(__file__).with_name("sweep.json")
SCHEMA = 2
Figures = dict[str, float]


@dataclass(frozen=True)
class Unit:
    """A unit of the sweep: its spec (`arbonn.flows.calibrate.spec`), and its cells by family."""

    spec: dict[str, Any]
    cells: dict[str, Figures]


@dataclass(frozen=True)
class Whole:
    """A network at one folding, synthesised whole and flat: cells by family, and the specs of its units.

    network  its layers' widths.    folding  PE x SIMD of each.    interval  cycles a frame.
    held_out  whether the coefficients are judged by it, not fitted to it: the same for all foldings of a network.
    No cells    one that is too wide to be synthesised (`networks.WIDEST`).
    """

    network: str
    folding: str
    interval: int
    cells: dict[str, Figures]
    units: list[dict[str, Any]]
    held_out: bool

    def parts(self, family: str) -> Parts:
        """Parts of all its units, as today's hardware counts them."""
        return sum((_parts(json.dumps(spec, sort_keys=True), family) for spec in self.units), Parts())


@cache
def _parts(spec: str, family: str) -> Parts:
    node, ports = unit_of(json.loads(spec))
    return node.parts(ports, family)


@dataclass(frozen=True)
class Sweep:
    """All of it. `made`: date, command, and the versions of the tools."""

    made: dict[str, str]
    units: list[Unit]
    networks: list[Whole]


def load(path: Path = SWEEP) -> Sweep:
    """The shipped sweep. Raises DataError for a file that is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        assert document["schema"] == SCHEMA, f"schema {document['schema']}"
        return Sweep(document["made"], [Unit(**each) for each in document["units"]], [Whole(**each) for each in document["networks"]])
    except (KeyError, TypeError, AssertionError, *UNREADABLE) as error:
        raise DataError(str(path), found=f"no sweep ({error})", allowed=f"schema {SCHEMA}", fix="make cost-model") from None


def save(sweep: Sweep, path: Path = SWEEP) -> None:
    """One line a unit and a network, so that a change of one is a change of a line."""
    lines = [f'{{"schema": {SCHEMA}, "made": {json.dumps(sweep.made, sort_keys=True)},']
    for name, entries in (("units", sweep.units), ("networks", sweep.networks)):
        rows = ",\n".join(json.dumps(asdict(entry), sort_keys=True) for entry in entries)
        lines.append(f'"{name}": [\n{rows}\n]' + ("," if name == "units" else "}"))
    write_text(path, "\n".join(lines) + "\n")
