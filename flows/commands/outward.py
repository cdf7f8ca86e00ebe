"""What leaves for others and for the eye: export, show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from arbonn.flows.cli import command
from arbonn.flows.commands.answer import Answer, BuildFolder, Json
from arbonn.flows.options import Family

Shell = Literal["none", "axi"]


@command
def export(
    build: BuildFolder,
    out: Annotated[Path | None, typer.Option(help="Folder for the files; BUILD/export by default.", show_default=False)] = None,
    images: Annotated[Path | None, typer.Option(help=".npy file of images; BUILD's test images, else drawn frames.")] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames in the vectors.")] = 10,
    shell: Annotated[Shell, typer.Option(help="axi: with AXI4-Stream ends and AXI4-Lite registers, and their memory map.")] = "none",
    json: Json = False,
) -> Answer:
    """Write the Verilog with a self-checking testbench and vectors, which run with Icarus and no Python; or in a shell, for a system.

    Example: arbonn export build/digits
    Next:    the line that it prints
    """
    from arbonn.files import writing
    from arbonn.flows.export import RUN, export_axi
    from arbonn.flows.export import export as write
    from arbonn.flows.frames import frames_for
    from arbonn.hw import graph_file

    graph = graph_file.load(build)
    chosen = frames_for(graph, build, images, frames)
    folder = out or build / ("export" if shell == "none" else f"export_{shell}")
    if shell == "axi":
        with writing(folder):
            files, cycles = export_axi(graph, chosen.codes, folder)
        told = {"schema": 1, "folder": str(folder), "files": files, "frames": len(chosen.codes), "frames_source": chosen.source}
        return Answer({**told, "cycles": cycles}, lambda: print(f"{folder}: {', '.join(files)}"))
    with writing(folder):
        files = write(graph, chosen.codes, folder)
    data = {"schema": 1, "folder": str(folder), "files": files, "frames": len(chosen.codes), "frames_source": chosen.source, "run": RUN}
    return Answer(data, lambda: print(f"{folder}: {', '.join(files)}\ncd {folder} && {RUN}"))


@command
def show(
    build: BuildFolder,
    out: Annotated[Path | None, typer.Option(help="The SVG file; BUILD/graph.svg by default.", show_default=False)] = None,
    cells: Annotated[
        Family | None, typer.Option(help="Also synthesise for that family of devices, and tell the cells of every unit.")
    ] = None,
    json: Json = False,
) -> Answer:
    """Draw the graph as an SVG: shapes, folds, busy cycles, FIFO depths. With --cells, what each unit takes, as a tree.

    Example: arbonn show build/digits
    Next:    open build/digits/graph.svg in a browser
    """
    from arbonn.files import writing
    from arbonn.flows.show import show as draw
    from arbonn.hw import graph_file

    graph = graph_file.load(build)
    path = out or build / "graph.svg"
    with writing(path):
        draw(graph, graph.provenance.get("model", build.name), path)
    data: dict[str, object] = {"schema": 1, "drawing": str(path), "units": len(graph.nodes), "streams": len(graph.streams)}
    if cells is None:
        return Answer(data, lambda: print(path))
    from arbonn.flows.area import area, area_lines
    from arbonn.flows.progress import shown

    with shown() as report:
        units = area(graph, cells, report)
    data["cells"] = {"family": cells, "source": "synthesis, units kept apart", "units": [unit.model_dump() for unit in units]}
    return Answer(data, lambda: print(path, *area_lines(units), sep="\n"))
