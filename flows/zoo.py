"""The zoo: small trained networks in a folder each, with the recipe that makes them again and the figures that they had.

zoo/NAME/recipe.toml    what was trained
zoo/NAME/model.onnx     QONNX, which `arbonn lower` takes as it is
zoo/NAME/figures.json   accuracy and hardware, a `ZooFigures`
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from arbonn.errors import CheckError, InputError
from arbonn.files import replacing, sha256, write_text
from arbonn.flows import stages
from arbonn.flows.options import BuildOptions, CheckOptions, Common, LowerOptions
from arbonn.flows.recipe import Recipe, load_recipe
from arbonn.flows.results import IMAGES, LABELS, Result
from arbonn.settings import nearest

CHECKED, STALLS = 3, (0.0, 0.3)  # frames through the RTL, and how often both ends of it stall
RECIPE, MODEL, FIGURES = "recipe.toml", "model.onnx", "figures.json"


class ZooFigures(Result):
    """What a network of the zoo had when it was made, folded for `board`.

    accuracy          of the integer network on all `test_images`; float_accuracy: of the trained one
    mismatches, ties  integers that differ from QONNX's own execution of the file, over `verified_images` of them
    latency_cycles, interval_cycles   first input to last output of a frame, and between frames: what the RTL takes, to the cycle
    checked_images, checked_transfers   what went through the RTL, with and without stalls; no bit and no cycle of it differed from
                      the models, else there would be no entry
    *_estimated       before synthesis, of the accelerator alone
    luts, ffs, brams, fmax_mhz   after synthesis, with the board's shell, and after place and route
    What is null was not run when the entry was made; `remake` runs all of it, `measure` all but the training.
    """

    name: str
    data: str
    network: str
    method: str
    seed: int
    epochs: int
    train_seconds: float
    binary_weights: int
    model_bytes: int
    model_sha256: str
    test_images: int
    float_accuracy: float
    accuracy: float
    verified_images: int
    mismatches: int
    ties: int
    latency_cycles: int
    interval_cycles: float
    board: str
    luts_estimated: int
    ffs_estimated: int
    brams_estimated: int
    checked_images: int | None = None
    checked_transfers: int | None = None
    luts: int | None = None
    ffs: int | None = None
    brams: int | None = None
    fmax_mhz: float | None = None
    clock_mhz: float | None = None
    versions: dict[str, str | None]
    command: str


def names(folder: Path) -> list[str]:
    """Every network of a zoo, sorted."""
    found = sorted(path.parent.name for path in folder.glob(f"*/{RECIPE}"))
    if not found:
        raise InputError(
            str(folder), found="no networks" if folder.is_dir() else "no such folder", allowed=f"a folder with NAME/{RECIPE}",
            fix="type this in a checkout, or say --folder",
        )  # fmt: skip
    return found


def recipe(folder: Path, name: str) -> Recipe:
    """The recipe of a network; its name is that of its folder."""
    known = names(folder)
    if name not in known:
        raise InputError(f"{folder}/{name}", found="no network of the zoo", allowed=", ".join(known), fix=nearest(name, known))
    found = load_recipe(folder / name / RECIPE)
    if found.name != name:
        raise InputError(f"{folder / name / RECIPE}: name", found=found.name, allowed=name, fix=f'name = "{name}"')
    return found


def figures(folder: Path, name: str) -> ZooFigures:
    """What was written when the network was made. Raises InputError where they are missing, or are those of another file."""
    path, again = folder / name / FIGURES, f"arbonn zoo --folder {folder} --remake {name}"
    try:
        found = ZooFigures.model_validate_json(path.read_text(encoding="utf-8"))
        digest = sha256(folder / name / MODEL)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder / name}", found=f"not whole: {str(error).splitlines()[0]}", allowed=f"{MODEL} and {FIGURES}", fix=again
        ) from None
    if digest != found.model_sha256:
        raise InputError(f"{folder / name / MODEL}", found=f"sha256 {digest}", allowed=f"{found.model_sha256}, of {FIGURES}", fix=again)
    return found


def remake(folder: Path, name: str, common: Common = Common()) -> ZooFigures:
    """Trains, lowers, evaluates, checks and builds a network; then puts its file and its figures into the zoo.

    Raises CheckError where the RTL differs from the models; nothing of the entry is then changed.
    """
    wanted = recipe(folder, name)
    common = Common(None, common.store, common.report)
    trained = stages.train(wanted, common)
    model = trained.file(trained.model)
    built = _built(folder / name, wanted, model, trained.file(trained.test_codes), trained.file(trained.test_labels), common)
    found = ZooFigures(
        name=name, data=wanted.data.name, network=wanted.network.name, method=wanted.method.name, seed=wanted.seed, epochs=trained.epochs,
        train_seconds=round(trained.seconds, 1), binary_weights=trained.binary_weights,
        model_bytes=model.stat().st_size, model_sha256=sha256(model), float_accuracy=trained.float_accuracy,
        command=f"arbonn zoo --remake {name}", **{**built, "versions": {**trained.versions, **built["versions"]}},
    )  # fmt: skip
    with replacing(folder / name / MODEL) as temporary:
        shutil.copyfile(model, temporary)
    return _written(folder, found)


def measure(folder: Path, name: str, common: Common = Common()) -> ZooFigures:
    """Lowers, evaluates, checks and builds a network as it lies in the zoo, and writes its figures: what has changed since is hardware's.

    Raises as `remake` does, and InputError for an entry that is not whole.
    """
    from arbonn.model.batches import load

    wanted, old = recipe(folder, name), figures(folder, name)
    test = load(wanted).test
    with tempfile.TemporaryDirectory() as place:
        images, labels = Path(place) / IMAGES, Path(place) / LABELS
        np.save(images, test.codes)
        np.save(labels, test.labels)
        built = _built(folder / name, wanted, folder / name / MODEL, images, labels, Common(None, common.store, common.report))
    return _written(folder, old.model_copy(update={**built, "versions": {**old.versions, **built["versions"]}}))


def _built(entry: Path, wanted: Recipe, model: Path, images: Path, labels: Path, common: Common) -> dict[str, Any]:
    """The figures of a trained network that are not the training's, and the versions behind them."""
    lowered = stages.lower(model, LowerOptions(samples=images, max_samples=100, board=wanted.build.board), common)
    graph = Path(lowered.folder)
    exact = stages.evaluate(graph, images, labels, common)
    checked = stages.check(graph, CheckOptions(images, CHECKED, 0, STALLS, engine="native"), common)
    if checked.bit_mismatches or checked.cycle_mismatches or checked.violations:
        raise CheckError(
            f"{entry}", found=f"the RTL is not the model: {checked.first_difference}", allowed="no difference",
            fix=f"arbonn check {graph} --images {images}",
        )  # fmt: skip
    built = stages.build(graph, BuildOptions(wanted.build.board), common)
    return {
        "test_images": exact.frames, "accuracy": exact.accuracy,
        "verified_images": lowered.verified_samples, "mismatches": lowered.mismatches, "ties": lowered.ties,
        "latency_cycles": lowered.latency_cycles, "interval_cycles": lowered.interval_cycles,
        "board": wanted.build.board, "luts_estimated": round(lowered.luts_estimated), "ffs_estimated": lowered.ffs_estimated,
        "brams_estimated": lowered.brams_estimated, "checked_images": checked.frames, "checked_transfers": checked.transfers,
        "luts": built.luts, "ffs": built.ffs, "brams": built.brams, "fmax_mhz": round(built.fmax_mhz, 1), "clock_mhz": built.clock_mhz,
        "versions": {tool: number for stage in (lowered, checked, built) for tool, number in stage.versions.items()},
    }  # fmt: skip


def _written(folder: Path, found: ZooFigures) -> ZooFigures:
    write_text(folder / found.name / FIGURES, json.dumps(found.as_json(), indent=1, sort_keys=True) + "\n")
    return found
