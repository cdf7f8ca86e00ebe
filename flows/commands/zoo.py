"""zoo: small trained networks to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arbonn.flows.cli import command
from arbonn.flows.commands.answer import Answer, Json, table

if TYPE_CHECKING:
    from arbonn.flows.zoo import ZooFigures


@command
def zoo(
    folder: Annotated[Path, typer.Option(help="Folder of the networks.")] = Path("zoo"),
    remake: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Train this one again and write its file and figures; `all`: each. May be repeated.", show_default=False
        ),
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Lower, check and build this one again as it is, and write its figures.", show_default=False),
    ] = None,
    json: Json = False,
) -> Answer:
    """List small trained networks, each with its recipe and its figures in accuracy and hardware.

    Example: arbonn zoo
    Next:    arbonn lower zoo/digits_cnn/model.onnx --out build/digits_cnn
    """
    from arbonn.flows import zoo as networks
    from arbonn.flows.options import Common
    from arbonn.flows.progress import shown

    known = networks.names(folder)
    wanted = {
        name: work
        for work, names in ((networks.measure, measure), (networks.remake, remake))
        for given in names or ()
        for name in (known if given == "all" else [given])
    }
    for name in wanted:
        networks.recipe(folder, name)  # a wrong one is told before the others are trained
    with shown() as report:
        for name, work in wanted.items():
            work(folder, name, Common(report=lambda what, done, name=name: report(f"{name}: {what}", done)))  # type: ignore[misc]
    found = [networks.figures(folder, name) for name in known]
    rows = {
        f.name: f"{f.data}, {f.network} by {f.method}, seed {f.seed}: {f.binary_weights} weights, {f.model_bytes / 1e3:.0f} kB\n"
        f"accuracy {f.accuracy:.4f} of {f.test_images} images; {f.mismatches} integers differ from QONNX, {f.ties} ties\n"
        f"{f.latency_cycles} cycles latency, {f.interval_cycles:g} between frames; {checked(f)}\n{built(f)}"
        for f in found
    }
    return Answer({"schema": 1, "networks": {f.name: f.as_json() for f in found}}, lambda: table(f"zoo: {folder}", rows))


def checked(figures: ZooFigures) -> str:
    """What went through the RTL, in words."""
    if figures.checked_transfers is None:
        return "not checked yet"
    return f"{figures.checked_transfers} transfers of the RTL are the model's in every bit and cycle"


def built(figures: ZooFigures) -> str:
    """What the board takes, in words."""
    if figures.luts is None:
        cells = f"{figures.luts_estimated} LUTs, {figures.ffs_estimated} flip-flops, {figures.brams_estimated} block RAMs"
        return f"{figures.board}, estimated: {cells}"
    cells = f"{figures.luts} LUTs, {figures.ffs} flip-flops, {figures.brams} block RAMs"
    return f"{figures.board}: {cells}; {figures.fmax_mhz:g} MHz reached, {figures.clock_mhz:g} used"
