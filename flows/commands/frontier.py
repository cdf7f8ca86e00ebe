"""frontier: accuracy against LUTs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arbonn.flows.cli import command
from arbonn.flows.commands.answer import Answer, Json, table


@command
def frontier(
    recipes: Annotated[
        list[Path] | None, typer.Argument(help="Recipes, or folders of them.", metavar="[RECIPES]", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results, one in it for each recipe.")] = Path("build/frontier"),
    page: Annotated[Path | None, typer.Option("--table", help="Markdown file to write the table to.", show_default=False)] = None,
    curve: Annotated[bool, typer.Option("--curve", help="Also measure what SBNN's share of ones costs.")] = False,
    json: Json = False,
) -> Answer:
    """Train recipes, make each a network of wiring, check its RTL on all test images, and count its LUTs.

    Example: arbonn frontier recipes/frontier --table docs/frontier.md
    Next:    arbonn show build/frontier/mnist-500
    """
    from arbonn.files import write_text, writing
    from arbonn.flows.frontier import measure, recipes_in
    from arbonn.flows.frontier_page import PICTURE, markdown, svg
    from arbonn.flows.progress import shown
    from arbonn.flows.sbnn_curve import sbnn_curve

    given = recipes or [Path("recipes/frontier")]
    wanted = recipes_in(given)
    with shown() as report:
        points = [measure(recipe, out / recipe.name, report) for _, recipe in wanted]
        costs = sbnn_curve(report=report) if curve else []
    if page is not None:
        words = ["arbonn frontier", *map(str, given), f"--table {page}", *(["--curve"] if curve else [])]
        with writing(page):
            write_text(page, markdown(points, costs, " ".join(words)))
            write_text(page.parent / PICTURE, svg(points))
    rows: dict[str, object] = {
        p.name: f"{100 * p.accuracy:.2f} %, {p.luts} LUTs, {p.ffs} flip-flops, {p.levels} levels; "
        + (f"{p.frames} frames: every bit and every cycle equal" if p.exact else _wrong(p))
        for p in sorted(points, key=lambda p: (p.data, p.luts))
    }
    rows |= {f"EC {p.ec:g}": f"{p.luts} LUTs for {p.ones} ones, {p.luts_general} with two values" for p in costs}
    data = {"points": [p.as_json() for p in points], "curve": [p.as_json() for p in costs], "table": str(page) if page else None}
    return Answer(data, lambda: table("accuracy against LUTs", rows), exit_code=0 if all(p.exact for p in points) else 1)


def _wrong(point: object) -> str:
    from arbonn.flows.frontier import FrontierPoint

    assert isinstance(point, FrontierPoint)
    return (
        f"{point.frames} of {point.test_images} frames, {point.bit_mismatches} bits, {point.cycle_mismatches} cycles and "
        f"{point.mismatches} integers differ, {point.violations} breaches of the stream rules"
    )
