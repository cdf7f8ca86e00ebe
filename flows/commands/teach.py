"""explain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arbonn.flows.cli import command
from arbonn.flows.commands.answer import Answer, BuildFolder, Json


@command
def explain(
    build: BuildFolder,
    image: Annotated[Path | None, typer.Option(help=".npy file of images; BUILD's test images by default.", show_default=False)] = None,
    index: Annotated[int, typer.Option(min=0, help="Which of them, from 0.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The SVG file; BUILD/explain.svg by default.", show_default=False)] = None,
    table: Annotated[bool, typer.Option("--table", help="Every input instead of one image: truth tables of a small network.")] = False,
    json: Json = False,
) -> Answer:
    """Show one image's way through the accelerator: bits, popcounts, thresholds, bits, layer by layer, beside the cycles.

    Example: arbonn explain build/digits --index 3
    Next:    open build/digits/explain.svg in a browser
    """
    from arbonn.files import write_text, writing
    from arbonn.flows.explain.image import explain as follow
    from arbonn.flows.explain.table import as_lines, truth_table

    if table:
        made = truth_table(build)
        return Answer({"schema": 1, **made.as_data()}, lambda: print("\n".join(as_lines(made))))
    found = follow(build, index, image)
    path = out or build / "explain.svg"
    with writing(path):
        write_text(path, found.svg)
    steps = [step.as_data() for step in found.steps]
    data = {"schema": 1, "drawing": str(path), "index": index, "label": found.label, "steps": steps}
    return Answer(data, lambda: print(f"{found.text}\n\nclass {found.label}; drawn in {path}"))
