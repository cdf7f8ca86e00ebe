"""Two runs side by side: what was proved, the figures with their ratio, both graphs and their time, and the trainings in one plot."""

from __future__ import annotations

from pathlib import Path

from arbonn.flows.report import timeline as time
from arbonn.flows.report.layers import HEAD
from arbonn.flows.report.page import write_page
from arbonn.flows.report.run_page import log_plots, view
from arbonn.flows.results import RunResult

FIGURES = {
    "accuracy": "accuracy",
    "first_out_cycles": "first out, cycles",
    "latency_cycles": "latency, cycles",
    "interval_cycles": "interval, cycles",
    "luts": "LUTs",
    "ffs": "flip-flops",
    "brams": "block RAMs",
    "fmax_mhz": "MHz reached",
    "fps_core_at_clock": "frames a second of the core, at the board's clock",
    "fps_core_at_fmax": "the same, at the clock reached",
    "fps_link": "frames a second of the link",
    "ties": "ties",
    "bit_mismatches": "bits that differ",
    "cycle_mismatches": "cycles that differ",
}


def figures(a: RunResult, b: RunResult) -> list[list[object]]:
    """Name, both values, and B / A where both are numbers other than 0."""
    rows = list[list[object]]()
    for key, name in FIGURES.items():
        one, other = getattr(a, key), getattr(b, key)
        rows.append([name, one, other, float(other / one) if one and other else None])
    choices: dict[str, list[object]] = {
        "board": [r.stages.build.board for r in (a, b)],
        "method": [r.stages.train.method for r in (a, b)],
        "epochs": [r.stages.train.epochs for r in (a, b)],
        "seed": [r.stages.train.seed for r in (a, b)],
        "binary weights": [r.stages.train.binary_weights for r in (a, b)],
        "units": [", ".join(f"{n} {kind}" for kind, n in r.stages.lower.units.items()) for r in (a, b)],
        "interval set by": [r.stages.lower.bottleneck for r in (a, b)],
        "graph": [r.stages.lower.graph_digest[:16] for r in (a, b)],
        "versions": [", ".join(f"{t} {v or 'missing'}" for t, v in r.stages.train.versions.items()) for r in (a, b)],
    }
    return [*rows, *([name, one, other, None] for name, (one, other) in choices.items())]


def write_comparison(results: tuple[RunResult, RunResult], folders: tuple[Path, Path], path: Path) -> None:
    """Writes the page of two runs whose results lie in `folders`."""
    views = [view(result, folder, prefix) for result, folder, prefix in zip(results, folders, ("a-", "b-"), strict=True)]
    labels = [f"{letter} {result.name}" for letter, result in zip("AB", results, strict=True)]
    logs = {label: found.log for label, found in zip(labels, views, strict=True) if found.log}
    values = {
        "views": views, "labels": labels, "figures": figures(*results), "plots": log_plots(logs) if logs else [], "layer_head": HEAD,
        "states": time.STATES, "folders": folders,
    }  # fmt: skip
    write_page(path, "compare.html", values)
