"""explain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arbonn.errors import InputError
from arbonn.flows.cli import command
from arbonn.flows.commands.answer import Answer, BuildFolder, Json


@command
def explain(
    build: BuildFolder,
    image: Annotated[Path | None, typer.Option(help=".npy file of images; BUILD's test images by default.", show_default=False)] = None,
    index: Annotated[int, typer.Option(min=0, help="Which of them, from 0.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The SVG file; BUILD/explain.svg by default.", show_default=False)] = None,
    json: Json = False,
) -> Answer:
    """Show one image's way through the accelerator: bits, popcounts, thresholds, bits, layer by layer, beside the cycles.

    Example: arbonn explain build/digits --index 3
    Next:    open build/digits/explain.svg in a browser
    """
    from arbonn.files import write_text, writing
    from arbonn.flows.explain import explain as follow
    from arbonn.flows.explain_page import as_svg, as_text
    from arbonn.flows.frames import frames_for, labels_of
    from arbonn.hw import graph_file

    graph = graph_file.load(build)
    frames = frames_for(graph, build, image, None)
    if index >= len(frames.codes):
        raise InputError("--index", found=str(index), allowed=f"0 .. {len(frames.codes) - 1} ({frames.source})")
    steps = follow(graph, frames.codes[index])
    label = int(labels_of(graph, {step.stream: step.values[None] for step in steps})[0])
    path = out or build / "explain.svg"
    with writing(path):
        write_text(path, as_svg(steps, f"image {index} of {frames.source}: class {label}"))
    data = {"schema": 1, "drawing": str(path), "index": index, "label": label, "steps": [step.as_data() for step in steps]}
    return Answer(data, lambda: print(f"{as_text(steps)}\n\nclass {label}; drawn in {path}"))
