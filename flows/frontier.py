"""`arbonn frontier`: recipes as whole unrolled networks: what each gets right, what it takes, and that its RTL is exact.

Every stage goes through the store, so that a run that was stopped goes on, and one that changed nothing makes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from arbonn.errors import InputError
from arbonn.files import write_text
from arbonn.flows import stages, tools
from arbonn.flows.families import YOSYS
from arbonn.flows.options import CheckOptions, Common, LowerOptions
from arbonn.flows.progress import Report
from arbonn.flows.recipe import Recipe, load_recipe
from arbonn.flows.results import Result
from arbonn.hw import graph_file
from arbonn.hw.units.unrolled_mvau import UnrolledMVAU

TARGET: Literal["xc7"] = "xc7"
POINT = "point.json"


class FrontierPoint(Result):
    """A recipe's network with its weights as wiring. Cells are those of open synthesis of the whole accelerator for 7-series.

    accuracy       of the integer network, on all test images.    mismatches, ties  against QONNX's own execution of the file.
    phys           LUT cells with inverters and the LUTs that carry positions without one are routed through.
    levels         LUTs on the longest path between registers, a carry chain counting nothing.
    neurons        hidden ones that a later layer sees, a LUT each where they have at most 6 connections; synthesis drops the others.
    votes          connections of the classes.
    frames         test images through the RTL, one a clock; transfers, *_mismatches and violations of that check.
    """

    name: str
    data: str
    network: str
    method: str
    seed: int
    epochs: int
    connections: int
    neurons: int
    votes: int
    accuracy: float
    test_images: int
    verified_images: int
    mismatches: int
    ties: int
    luts: int
    phys: int
    ffs: int
    carry4: int
    levels: int
    latency_cycles: int
    interval_cycles: float
    frames: int
    transfers: int
    bit_mismatches: int
    cycle_mismatches: int
    violations: int
    train_seconds: float
    check_seconds: float

    @property
    def exact(self) -> bool:
        """Whether the RTL gave every bit in its cycle on every test image, and the integers are the file's."""
        wrong = (self.mismatches, self.bit_mismatches, self.cycle_mismatches, self.violations)
        return self.frames == self.test_images and not any(wrong)


def recipes_in(paths: Sequence[Path]) -> list[tuple[Path, Recipe]]:
    """Each recipe of the files and folders; all are read before anything is trained."""
    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob("*.toml")) if path.is_dir() else [path]
        if not found:
            raise InputError(str(path), found="no recipe", allowed="a folder with .toml files, or such a file")
        files += found
    return [(file, load_recipe(file)) for file in files]


def measure(recipe: Recipe, out: Path, report: Report) -> FrontierPoint:
    """One point: trained, lowered as wiring, evaluated, simulated on all test images, synthesised. Results are linked in `out`."""
    tools.require(YOSYS)  # told before the training, not after it
    common = Common(out, report=lambda what, done: report(f"{recipe.name}: {what}", done))
    trained = stages.train(recipe, common)
    lowered = stages.lower(
        out / trained.model, LowerOptions(samples=out / trained.test_codes, max_samples=recipe.lower.samples, unrolled=TARGET), common
    )
    evaluated = stages.evaluate(out, common=common)
    checked = stages.check(out, CheckOptions(stalls=(0.0,), second_frames=0, engine="native"), common)
    cells = stages.cells(out, common)
    layers = [node.weights for node in graph_file.load(out).nodes if isinstance(node, UnrolledMVAU)]
    point = FrontierPoint(
        name=recipe.name, data=recipe.data.name, network=_network(recipe), method=_method(recipe), seed=recipe.seed, epochs=trained.epochs,
        connections=sum(map(np.count_nonzero, layers)), neurons=sum(int(after.any(axis=0).sum()) for after in layers[1:]),
        votes=int(np.count_nonzero(layers[-1])),
        accuracy=evaluated.accuracy, test_images=evaluated.frames, verified_images=lowered.verified_samples,
        mismatches=lowered.mismatches, ties=lowered.ties, luts=cells.luts, phys=cells.phys, ffs=cells.ffs, carry4=cells.carry4,
        levels=cells.levels, latency_cycles=lowered.latency_cycles, interval_cycles=lowered.interval_cycles,
        frames=checked.frames, transfers=checked.transfers, bit_mismatches=checked.bit_mismatches,
        cycle_mismatches=checked.cycle_mismatches, violations=checked.violations, train_seconds=trained.seconds,
        check_seconds=checked.seconds,
    )  # fmt: skip
    write_text(out / POINT, json.dumps(point.as_json(), indent=1) + "\n")
    return point


def _network(recipe: Recipe) -> str:
    """Its sizes, and where its pixels are cut if not at 0.5 alone."""
    cuts = recipe.network.input_thresholds
    return f"{recipe.network.name} {list(recipe.network.sizes or ())}" + (f" of pixels >= {' and '.join(map(str, cuts))}" if cuts else "")


def _method(recipe: Recipe) -> str:
    """The method with its options, and how its images are varied."""
    options = recipe.method.model_dump(exclude={"name"}, exclude_defaults=True)
    varied = recipe.data.augment
    if varied != ("none",):
        options["images"] = "/".join(varied)
    return recipe.method.name + "".join(f", {name} {value}" for name, value in options.items())
