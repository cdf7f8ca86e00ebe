"""The page of a run: what was proved first, then the graph, its time, its layers, the training and the answers.

Everything is read from the folder of results. What is not there (a folder that was moved without its store) is left out and named.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from arbonn.errors import ArbonnError
from arbonn.flows import show
from arbonn.flows.report import timeline as time
from arbonn.flows.report.answers import Answers, answers
from arbonn.flows.report.layers import HEAD, Layers, layers
from arbonn.flows.report.page import write_page
from arbonn.flows.report.plots import Plot, confusion, curves
from arbonn.flows.report.summary import rows, versions
from arbonn.flows.report.verdict import Verdict, commands, verdicts
from arbonn.flows.results import RunResult
from arbonn.hw import graph_file
from arbonn.hw.boards import board
from arbonn.hw.graph import DataflowGraph

T = TypeVar("T")
MEASURES = ("loss", "val_accuracy")  # drawn first


@dataclass
class RunView:
    """A run as its page shows it. `missing`: what could not be read, and why.

    `prefix` begins the name of every element, so that two runs can stand on one page.
    """

    result: RunResult
    folder: Path
    prefix: str = ""
    verdicts: list[Verdict] = field(default_factory=list)
    graph: DataflowGraph | None = None
    drawing: str = ""
    time: time.Timeline | None = None
    time_drawing: str = ""
    layers: Layers | None = None
    log: list[dict[str, float]] = field(default_factory=list)
    answers: Answers | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def part(self, name: str, make: Callable[[], T]) -> T | None:
        """What `make` gives; None, with the reason kept, where a file is not there or does not fit."""
        try:
            return make()
        except ArbonnError as error:
            self.missing[name] = str(error).splitlines()[0]
        except (OSError, ValueError) as error:
            self.missing[name] = str(error)
        return None


def view(result: RunResult, folder: Path, prefix: str = "") -> RunView:
    """Everything that the folder still holds of a run."""
    found = RunView(result, folder, prefix, verdicts(result))
    found.graph = graph = found.part("graph, time and layers", lambda: graph_file.load(folder))
    if graph is not None:
        found.drawing = inline_svg(show.draw(graph, f"{result.name}, dataflow graph"), prefix)
        found.time = found.part("time", lambda: time.timeline(graph))
        if found.time is not None:
            found.time_drawing = time.draw(found.time, prefix)
        found.layers = found.part("layers", lambda: layers(graph, board(result.stages.build.board).family))
        found.answers = found.part("answers", lambda: answers(graph, folder))
    found.log = found.part("training log", lambda: read_log(folder / "train" / "metrics.csv")) or []
    found.recipe = found.part("recipe", lambda: _recipe(folder)) or {}
    return found


def read_log(path: Path) -> list[dict[str, float]]:
    """The log of a training: a row an epoch; cells that are empty or no number are left out."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{name: float(text) for name, text in row.items() if text not in (None, "")} for row in csv.DictReader(file)]
    if not rows or any("epoch" not in row for row in rows):
        raise ValueError(f"{path}: no log of a training")
    return rows


def log_plots(logs: dict[str, list[dict[str, float]]]) -> list[Plot]:
    """A plot for each measure of the logs; a layer's column is a line of its measure's plot."""
    names = list(dict.fromkeys(name for log in logs.values() for row in log for name in row if name != "epoch"))
    measures = list(dict.fromkeys(name.partition("/")[0] for name in names))
    measures.sort(key=lambda name: MEASURES.index(name) if name in MEASURES else len(MEASURES))
    return [
        curves(
            f"curve-{number}",
            measure,
            logs,
            {name: name.partition("/")[2] or "all" for name in names if name.partition("/")[0] == measure},
        )
        for number, measure in enumerate(measures)
    ]


def measure_table(measures: dict[str, float]) -> tuple[list[str], list[list[object]]]:
    """The measures of the finished network: a row each, with a column for the whole and one for each layer that any is known of."""
    layers = list(dict.fromkeys(name.partition("/")[2] for name in measures if "/" in name))
    names = list(dict.fromkeys(name.partition("/")[0] for name in measures))
    cells = [[measures.get(name), *(measures.get(f"{name}/{layer}") for layer in layers)] for name in names]
    return ["measure", "whole network", *layers], [[name, *row] for name, row in zip(names, cells, strict=True)]


def _recipe(folder: Path) -> dict[str, Any]:
    """What the training was asked for, as the store keeps it."""
    found: dict[str, Any] = json.loads((folder / "train" / "stored.json").read_text(encoding="utf-8"))["parameters"]
    return found


def inline_svg(svg: str, prefix: str = "") -> str:
    """A drawing as part of a page: the page's own style instead of the drawing's, and names of elements that stay apart."""
    svg = svg.replace(f"<style>{show.STYLE}</style>", "").replace("<svg ", '<svg class="graph" ', 1)
    return re.sub(r'(\bid="|url\(#)', rf"\g<1>{prefix}g-", svg)


def plots_of(found: RunView) -> list[Plot]:
    """The training's curves and the confusion matrix."""
    drawn = log_plots({found.result.name: found.log}) if found.log else []
    if found.answers:
        drawn.append(confusion("confusion", found.answers.confusion, found.answers.source))
    return drawn


def write_report(result: RunResult, path: Path) -> None:
    """Writes the page of a run whose results lie in the folder of `path`."""
    found = view(result, path.parent)
    values = {
        "v": found, "r": result, "s": result.stages, "rows": rows(result), "commands": commands(result, path.parent), "states": time.STATES,
        "versions": versions(result), "plots": plots_of(found), "layer_head": HEAD, "summary": result.as_json(),
        "measures": measure_table(result.stages.train.measures),
    }  # fmt: skip
    write_page(path, "run.html", values)
