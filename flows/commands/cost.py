"""What a graph is estimated to take: cost."""

from __future__ import annotations

from typing import Annotated

import typer

from arbonn.flows.cli import command
from arbonn.flows.commands.answer import Answer, BuildFolder, Json


@command
def cost(
    build: BuildFolder,
    family: Annotated[str, typer.Option(help="Family of devices: ice40, ecp5, gowin, xc7 or xcup.")] = "ice40",
    json: Json = False,
) -> Answer:
    """Estimate LUTs, flip-flops and block RAMs of every unit, before synthesis. docs/cost.md says how far off that was.

    Example: arbonn cost build/digits --family xc7
    Next:    arbonn build build/digits --board icebreaker
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from arbonn.hw import graph_file
    from arbonn.hw.cost.cost import NOTHING
    from arbonn.hw.cost.read import unit_costs

    graph = graph_file.load(build)
    costs = unit_costs(graph, family)
    total = sum(costs.values(), NOTHING)
    units = [
        {"unit": node.id, "kind": node.kind, "luts": round(c.luts), "ffs": c.ffs, "brams": c.brams, "calibrated": c.calibrated}
        for node, c in costs.items()
    ]
    data = {
        "family": family, "luts": round(total.luts), "ffs": total.ffs, "brams": total.brams, "memory_bits": total.memory_bits,
        "calibrated": total.calibrated, "units": units,
    }  # fmt: skip

    def show() -> None:
        drawn = Table(title=f"{build.name} on {family}, without a board's shell", box=box.SIMPLE, title_justify="left", title_style="bold")
        drawn.add_column("unit", style="cyan", no_wrap=True)
        for name in ("kind", "LUTs", "flip-flops", "block RAMs"):
            drawn.add_column(name, justify="left" if name == "kind" else "right")
        for node, c in costs.items():
            drawn.add_row(node.id, node.kind, f"{c.luts:.0f}" + ("" if c.calibrated else " (its own estimate)"), str(c.ffs), str(c.brams))
        drawn.add_row("all", "", f"{total.luts:.0f}", str(total.ffs), str(total.brams), style="bold")
        Console().print(drawn)

    return Answer(data, show)
