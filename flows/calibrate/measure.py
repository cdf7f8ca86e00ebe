"""Cells of many modules by synthesis alone, a batch in one run of yosys; each is kept in the content store under its own RTLIL."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.lib import wiring

from arbonn.files import write_text
from arbonn.flows import families, tools
from arbonn.flows.calibrate.depth import depth
from arbonn.flows.doctor import version_of
from arbonn.flows.families import YOSYS, Family
from arbonn.flows.progress import Report, silent
from arbonn.flows.store import Store, Work

BATCH = 400_000  # characters of RTLIL in a run: most of a small module's time is yosys reading its own libraries
TOP = "top"  # the name that every measured module has
Measured = dict[str, float]
"""`luts`, `ffs`, `brams`, `carry`, and `depth` (LUT levels of the longest path, `arbonn.flows.calibrate.depth`)."""


def rtlil_of(component: wiring.Component) -> str:
    """A component as yosys' own text, in the same words on every machine: what the tools for boards read too."""
    return rtlil.convert(component, name=TOP, emit_src=False)


def measured(modules: Sequence[str], family: str, store: Store, report: Report = silent, what: str = "synthesis") -> list[Measured]:
    """What each module (RTLIL of `rtlil_of`) takes. Ctrl-C loses the batch that runs; the next call goes on behind the finished ones."""
    made_by = families.named(family, f"synthesis for {family}")
    works = [_work(text, made_by) for text in modules]
    waiting = [k for k, work in enumerate(works) if store.find(work) is None]
    left = len(waiting)
    while waiting:
        report(what, 1 - len(waiting) / left)
        batch, size = list[int](), 0
        while waiting and (not batch or size + len(modules[waiting[0]]) <= BATCH):
            batch.append(waiting.pop(0))
            size += len(modules[batch[-1]])
        for k, found in zip(batch, _synthesized([modules[k] for k in batch], made_by), strict=True):
            text = json.dumps(found)
            store.get(works[k], lambda folder, text=text: write_text(folder / "cells.json", text))  # type: ignore[misc]
    report(what, 1.0)
    folders = [store.find(work) for work in works]
    return [json.loads((folder / "cells.json").read_text(encoding="utf-8")) for folder in folders if folder is not None]


def _work(text: str, family: Family) -> Work:
    counts = json.dumps({cell: dict(kinds) for cell, kinds in family.cells.items()}, sort_keys=True)
    inputs = {"rtlil": hashlib.sha256(text.encode()).hexdigest()}
    parameters = {"family": family.name, "synth": family.synth, "counts": counts}
    return Work("cells", inputs, parameters, {YOSYS: version_of(YOSYS)}, ("flows/calibrate/depth.py",))


def _synthesized(modules: Sequence[str], family: Family) -> list[Measured]:
    """One run of yosys: each module flattened by itself, all synthesised side by side under a top that keeps them apart."""
    apart = family.synth.replace(" -flatten", "") if " -flatten" in family.synth else family.synth + " -noflatten"
    with tempfile.TemporaryDirectory() as work:
        folder, steps = Path(work), []
        for k, text in enumerate(modules):
            write_text(folder / f"{k}.il", text)
            steps.append(f"design -reset; read_rtlil {k}.il; hierarchy -top {TOP}; flatten; rename {TOP} unit_{k}; design -save unit_{k}")
        write_text(folder / "all.v", f"module all(); {' '.join(f'(* keep *) unit_{k} i_{k} ();' for k in range(len(modules)))} endmodule\n")
        steps += ["design -reset", *(f"design -copy-from unit_{k} unit_{k}" for k in range(len(modules)))]
        steps.append(f"read_verilog all.v; {apart} -top all; write_json all.json")
        write_text(folder / "all.ys", "\n".join(step.replace("; ", "\n") for step in steps) + "\n")
        tools.run([tools.require(YOSYS), "-q", "-s", "all.ys"], folder)
        found: Mapping[str, Any] = json.loads((folder / "all.json").read_text(encoding="utf-8"))["modules"]
    return [_counted(found[f"unit_{k}"], family) for k in range(len(modules))]


def _counted(module: Mapping[str, Any], family: Family) -> Measured:
    cells = family.count({"modules": {families.TOP: module}})
    return {"luts": cells.luts, "ffs": cells.ffs, "brams": cells.brams, "carry": cells.carry, "depth": round(depth(module, family), 2)}
