"""What synthesis, place and route made of a design, in the content store: the same design is never measured twice."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.lib import wiring

from arbonn.files import write_text
from arbonn.flows import families, tools
from arbonn.flows.cell_counts import SYNTHESIS, CellCounts, synthesized
from arbonn.flows.doctor import version_of
from arbonn.flows.families import TOP, YOSYS, Cells
from arbonn.flows.store import Store, Work

Found = Mapping[str, Any]


def kept(
    what: str, design: str, parameters: Found, made_by: Sequence[str], sources: Sequence[str], make: Callable[[], Found]
) -> Found:  # fmt: skip
    """What `make` found for a design (its text) with such tools, parameters and sources; made only if it was not made before."""
    inputs = {"design": hashlib.sha256(design.encode()).hexdigest()}
    work = Work(f"bench-{what}", inputs, parameters, {tool: version_of(tool) for tool in made_by}, tuple(sources))
    folder, _ = Store().get(work, lambda partial: write_text(partial / "found.json", json.dumps(make())))
    found: Found = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    return found


def cells(component: wiring.Component, family: str) -> Cells:
    """Cells of a component for a family. Yosys gets its own text: in Verilog it reads the weights of CNV for longer than 20 minutes."""
    made_by, design = families.named(family, f"synthesis for {family}"), rtlil.convert(component, name=TOP, emit_src=False)

    def make() -> Found:
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work)
            write_text(folder / "in.il", design)
            script = f"read_rtlil in.il; {made_by.synth} -top {TOP}; write_json out.json"
            tools.run([tools.require(YOSYS), "-q", "-p", script], folder)
            return asdict(made_by.count(json.loads((folder / "out.json").read_text())))

    counts = json.dumps({cell: dict(kinds) for cell, kinds in made_by.cells.items()}, sort_keys=True)
    parameters = {"synth": made_by.synth, "counts": counts}
    return Cells(**kept("network", design, parameters, (YOSYS,), ("flows/bench_hw/kept.py",), make))


def circuit_cells(verilog: str, name: str, target: str = "xc7") -> CellCounts:
    """`arbonn.flows.cell_counts.synthesized`."""
    parameters, sources = {"synth": SYNTHESIS[target], "name": name}, ("flows/cell_counts.py",)
    found = kept("circuit", verilog, parameters, (YOSYS,), sources, lambda: asdict(synthesized(verilog, name, target)))
    return CellCounts(**found)
