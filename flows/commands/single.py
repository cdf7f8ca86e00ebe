"""The stages one by one: train, lower, check, eval, build."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from arbonn.errors import InputError
from arbonn.flows.cli import command
from arbonn.flows.commands.answer import Answer, Board, BuildFolder, Json, RecipeFile, Set, table
from arbonn.flows.commands.dry import dry_run_answer, emitted_file, operators_answer
from arbonn.flows.options import CheckOptions, Common, Family, LowerOptions

Engine = Literal["cocotb", "native", "amaranth"]
Dialect = Literal["finn-base"]


@command
def train(
    recipe: RecipeFile,
    out: Annotated[Path | None, typer.Option(help="Folder for the results; build/NAME by default.", show_default=False)] = None,
    overrides: Set = None,
    json: Json = False,
) -> Answer:
    """Train the network of a recipe and export it to QONNX.

    Example: arbonn train recipes/digits.toml --out build/digits
    Next:    arbonn lower build/digits/model.onnx --out build/digits
    """
    from arbonn.flows import stages
    from arbonn.flows.progress import shown
    from arbonn.flows.recipe import load_recipe

    wanted = load_recipe(recipe, overrides or ())
    folder = out or Path("build") / wanted.name
    with shown() as report:
        result = stages.train(wanted, Common(folder, report=report))
    rows = {
        "float accuracy (test)": f"{result.float_accuracy:.4f}",
        "accuracy (validation)": f"{result.val_accuracy:.4f}",
        "epochs": f"{result.epochs}, best {result.best_epoch}",
        "binary weights": result.binary_weights,
        "model": folder / result.model,
    }
    return Answer(result.as_json(), lambda: table(f"{wanted.name}: trained by {result.method}", rows))


@command
def lower(
    model: Annotated[
        Path | None, typer.Argument(help="QONNX file, from `arbonn train` or Brevitas.", metavar="MODEL", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for graph.json and graph.npz.")] = Path("build"),
    contract: Annotated[str | None, typer.Option("--input", metavar="CONTRACT", help="What input codes mean: uint8,scale=1/255")] = None,
    input_table: Annotated[Path | None, typer.Option(help=".npy file: the value of each input code.")] = None,
    samples: Annotated[Path | None, typer.Option(help=".npy file of images to compare on; drawn ones by default.")] = None,
    board: Board = "icebreaker",
    target_fps: Annotated[float | None, typer.Option(help="Frames a second; by default what the board's line carries, or fits.")] = None,
    clock_mhz: Annotated[
        float | None, typer.Option(help="Clock of --target-fps and of the layers' stages; by default the board's.")
    ] = None,
    max_luts: Annotated[int | None, typer.Option(help="LUTs that the accelerator may take.")] = None,
    folding: Annotated[Path | None, typer.Option(help="Folding file: JSON, PE and SIMD by unit.")] = None,
    runtime_weights: Annotated[
        bool, typer.Option("--runtime-weights", help="Parameters in memory that a host can write: see `arbonn export --shell axi`.")
    ] = False,
    unrolled: Annotated[
        Family | None, typer.Option(help="Weights as wiring, all lanes: a vector a cycle, for that family of devices.")
    ] = None,
    unroll_seconds: Annotated[float, typer.Option(help="Most seconds of the search for few LUTs, each layer.")] = 60.0,
    pipeline: Annotated[
        int | None, typer.Option(min=0, max=13, help="More stages in every folded layer; by default what the clock needs.")
    ] = None,
    primitives: Annotated[
        bool, typer.Option("--primitives", help="Sums of folded layers as LUT and carry cells, on an AMD board.")
    ] = False,
    sparse: Annotated[
        bool, typer.Option("--sparse", help="Layers of two-valued weights as lists of connections, where these take less.")
    ] = False,
    emit: Annotated[
        Dialect | None, typer.Option(help="Also write the network in this dialect, and compare it as qonnx executes it.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would not lower, all at once.")] = False,
    list_operators: Annotated[bool, typer.Option("--list-operators", help="Only list the operators that lower.")] = False,
    json: Json = False,
) -> Answer:
    """Lower a QONNX file to an integer dataflow graph, compare it with the file, and fold it for a board.

    Example: arbonn lower build/digits/model.onnx --out build/digits
    Next:    arbonn check build/digits
    """
    if list_operators:
        return operators_answer()
    if model is None:
        raise InputError("arbonn lower", found="missing argument 'MODEL'", fix="see `arbonn lower --help`")
    if dry_run:
        return dry_run_answer(model, contract, input_table)
    from arbonn.flows import stages
    from arbonn.flows.progress import shown

    options = LowerOptions(
        input=contract, input_table=input_table, samples=samples or 100, board=board,
        target_fps=target_fps, clock_mhz=clock_mhz, max_luts=max_luts, folding=folding, runtime_weights=runtime_weights,
        unrolled=unrolled, unroll_seconds=unroll_seconds, pipeline=pipeline, primitives=primitives, sparse=sparse,
    )  # fmt: skip
    with shown() as report:
        result = stages.lower(model, options, Common(out, report=report))
    emitted = emitted_file(out) if emit else {}
    rows = {
        "units": ", ".join(f"{count} {kind}" for kind, count in result.units.items()),
        "input": f"{result.input} (from {result.input_source})",
        "compared with the file": f"{result.verified_integers} integers, {result.samples_source}",
        "mismatches, ties": f"{result.mismatches}, {result.ties}",
        "first mismatch": result.first_mismatch,
        "interval": f"{result.interval_cycles:g} cycles, set by {result.bottleneck}",
        "latency": f"{result.latency_cycles} cycles",
        "estimated": f"{result.luts_estimated:.0f} LUTs, {result.ffs_estimated} flip-flops, {result.brams_estimated} block RAMs",
        "notes": "\n".join(result.notes) or None,
        "graph": out / result.graph,
    } | {f"for {emit}": f"{out / str(e['file'])}, {e['compared']} logits equal" for e in emitted.values()}
    return Answer(result.as_json() | emitted, lambda: table(f"{model.name}: lowered", rows), exit_code=1 if result.mismatches else 0)


@command
def check(
    build: BuildFolder,
    images: Annotated[Path | None, typer.Option(help=".npy file of images; BUILD's test images, else drawn frames.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Frames through Verilator; all by default.")] = None,
    second_frames: Annotated[int, typer.Option(min=0, help="Frames through Icarus; 0 leaves it out.")] = 20,
    stall: Annotated[list[float] | None, typer.Option(min=0, max=0.99, help="Stall probability; repeat. [default: 0, 0.3, 0.9]")] = None,
    patterns: Annotated[int, typer.Option(min=1, help="Stall patterns drawn for each probability.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the stall patterns and of drawn frames.")] = 0,
    engine: Annotated[
        Engine, typer.Option(help="How Verilator runs, or Amaranth's own simulator: pure Python, for small networks.")
    ] = "cocotb",
    cluster: Annotated[str | None, typer.Option(help="Address of a Dask scheduler whose workers share the frames out.")] = None,
    json: Json = False,
) -> Answer:
    """Simulate the generated RTL and compare every bit and every cycle with the models.

    Example: arbonn check build/digits
    Next:    arbonn build build/digits --board icebreaker
    """
    from arbonn.flows import stages
    from arbonn.flows.progress import shown
    from arbonn.flows.sharded import check_on_cluster

    options = CheckOptions(images, frames, second_frames, tuple(stall or (0.0, 0.3, 0.9)), patterns, seed, engine)
    with shown() as report:
        common = Common(build, report=report)
        result = check_on_cluster(build, options, cluster, common) if cluster else stages.check(build, options, common)
    rows = {
        "frames": f"{result.frames} ({result.frames_source})",
        "transfers compared": result.transfers,
        "bit mismatches": result.bit_mismatches,
        "cycle mismatches": result.cycle_mismatches,
        "breaches of the stream rules": result.violations,
        "first difference": result.first_difference,
        "waves": result.file(result.waves) if result.waves else None,
        "latency": f"{_cycles(result.predicted_latency_cycles)} predicted, {_cycles(result.latency_cycles)} seen",
        "interval": f"{_cycles(result.predicted_interval_cycles)} predicted, {_cycles(result.interval_cycles)} seen",
    } | {
        s.name: f"skipped: {s.skipped}" if s.skipped else f"{s.frames} frames, {s.runs} runs, {s.cycles} cycles (version {s.version})"
        for s in result.simulators
    }
    return Answer(result.as_json(), lambda: table(f"{build}: checked", rows), exit_code=1 if result.first_difference else 0)


def _cycles(number: float | None) -> str:
    return "not" if number is None else f"{number:g} cycles"


@command
def eval(
    build: BuildFolder,
    images: Annotated[Path | None, typer.Option(help=".npy file of images: codes of the input contract, NCHW or flat.")] = None,
    labels: Annotated[Path | None, typer.Option(help=".npy file of labels.")] = None,
    json: Json = False,
) -> Answer:
    """Measure the accuracy of the integer network, by the reference that the hardware equals.

    Example: arbonn eval build/digits
    Next:    arbonn check build/digits
    """
    from arbonn.flows import stages
    from arbonn.flows.progress import shown

    with shown() as report:
        result = stages.evaluate(build, images, labels, Common(report=report))
    rows = {
        "accuracy": f"{result.accuracy:.4f}",
        "correct": f"{result.correct} of {result.frames}",
        "images a second": result.images_per_second,
    }
    return Answer(result.as_json(), lambda: table(f"{build}: evaluated", rows))
