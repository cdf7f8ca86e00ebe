"""cmvm: one unrolled layer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from arbonn.flows.cli import command
from arbonn.flows.commands.answer import Answer, Json, table


@command
def cmvm(
    matrix: Annotated[
        Path, typer.Argument(help=".npy file, shape (inputs, outputs), of -1, 0 and 1.", metavar="MATRIX", show_default=False)
    ],
    target: Annotated[Literal["xc7", "xcup", "ice40", "ecp5", "gowin"], typer.Option(help="Family of devices.")] = "xc7",
    outputs: Annotated[Literal["sum", "bit"], typer.Option(help="Whole sums, or one bit each: sum >= threshold.")] = "sum",
    thresholds: Annotated[Path | None, typer.Option(help=".npy file: a threshold for each output; 0 by default.")] = None,
    levels: Annotated[int | None, typer.Option(min=1, help="Most LUT levels from input to output.")] = None,
    seconds: Annotated[float, typer.Option(min=0, help="Most seconds of the search.")] = 60.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the search.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The Verilog file; MATRIX.v beside the matrix by default.", show_default=False)] = None,
    synth: Annotated[bool, typer.Option("--synth", help="Count cells by synthesis (yosys).")] = False,
    json: Json = False,
) -> Answer:
    """Turn a constant binary matrix into the Verilog of y = b @ W, as few LUTs as can be found.

    Example: arbonn cmvm weights.npy --synth
    Next:    read weights.v into your design: module cmvm, input b, output y
    """
    from arbonn.flows.cmvm import CmvmOptions
    from arbonn.flows.cmvm import cmvm as run
    from arbonn.flows.progress import shown

    options = CmvmOptions(target, outputs, thresholds, levels, seconds, seed, synth)
    with shown() as report:
        result = run(matrix, out or matrix.with_suffix(".v"), options, report)
    rows = {
        "LUTs": f"{result.luts} ({result.luts_per_weight:g} a weight; of the {result.counts_source})",
        "LUTs taken in the device": result.phys,
        "CARRY4": result.carry4,
        "LUT levels": result.levels,
        "checked on": f"{result.verified_vectors} vectors",
        "search": f"{result.moves} moves, seed {result.seed}" + (", stopped for time" if result.stopped else ""),
        "seconds": result.seconds,
        "Verilog": result.verilog,
    }
    return Answer(result.as_json(), lambda: table(f"{matrix.name}: {result.shape[0]} x {result.shape[1]}", rows))
