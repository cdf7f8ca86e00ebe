"""One point measured through the stages: trained, lowered, and as far up the ladder as it is worth.

Everything goes through the content store, so a point that was measured before costs only the reading.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

from arbonn.errors import FitError
from arbonn.flows import stages
from arbonn.flows.explore.front import Vector, dominates
from arbonn.flows.explore.metrics import MEANS, RUNGS, Rung
from arbonn.flows.explore.space import Point, Space
from arbonn.flows.options import BuildOptions, CheckOptions, Common, LowerOptions
from arbonn.flows.recipe import Recipe
from arbonn.flows.results import BuildResult, CheckResult, LowerResult, StageResult
from arbonn.flows.store import Store
from arbonn.hw.boards import board

MODEL_ERROR = 0.25  # how far a cost estimate may lie from synthesis: a point that is beaten even so is not synthesised


FAR = 0.05  # below a bound on an accuracy by more than this with the first seed: the others are not trained
PRUNED_AT = ((1 / 3, 0.2), (2 / 3, 0.1))  # after so much of a training, so far below a bound on its validation accuracy: it is stopped


@dataclass(frozen=True)
class Measured:
    """What was found of a point. `rung`: how far it was measured; `cached`: nothing had to be made; `refused`: why it is no design."""

    metrics: Mapping[str, float]
    rung: str
    seconds: float
    cached: bool
    refused: str = ""
    folder: str = ""


class PrunedError(Exception):
    """Raised inside a training that is not worth its end."""


@dataclass
class _Climb:
    """A point on its way up the ladder."""

    folder: Path
    common: Common
    results: list[StageResult] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)

    def keep(self, result: StageResult) -> None:
        self.results.append(result)

    def measured(self, rung: str, refused: str = "") -> Measured:
        made = [result for result in self.results if not result.cached]
        seconds = round(sum(result.seconds for result in made), 3)
        return Measured(dict(self.metrics), rung, seconds, not made, refused, str(self.folder))


def point_folder(out: Path, point: Point) -> Path:
    """Where a point's results are linked: a name that depends on the point alone."""
    return out / "points" / hashlib.sha256(json.dumps(dict(point), sort_keys=True).encode()).hexdigest()[:12]


def measure(space: Space, point: Point, out: Path, store: Store | None, upto: Rung, beaten_by: Sequence[Vector] = ()) -> Measured:
    """Measures a point up to rung `upto`; synthesis is left out where one of `beaten_by` dominates the point's best case.

    So are the other seeds' trainings where the first one misses a bound on an accuracy by more than `FAR`, and the rest of a training that
    is as far below a bound on the validation accuracy as `PRUNED_AT` says. It goes on from there where a later search wants it.
    """
    climb = _Climb(point_folder(out, point), Common())
    recipes = [space.recipe(point, seed) for seed in space.file.seeds]
    places = [climb.folder / f"seed{seed}" for seed in space.file.seeds]
    means: dict[str, list[float]] = {name: [] for name in MEANS}
    lowered = None
    for recipe, place in zip(recipes, places, strict=True):
        common = Common(place, store)
        try:
            trained = stages.train(recipe, replace(common, epoch=_Pruner(space)))
        except PrunedError as pruned:
            return climb.measured("model", str(pruned))
        climb.keep(trained)
        try:
            found = stages.lower(place / trained.model, _lower_options(recipe, place, trained.test_codes, space.folder), common)
        except FitError as error:
            return climb.measured("model", f"{error.where}: {error.found}")
        climb.keep(found)
        lowered = lowered or found
        for name, kind in (("accuracy", "test"), ("val_accuracy", "val")):
            images, labels = (place / "train" / f"{kind}_{what}.npy" for what in ("codes", "labels"))
            means[name].append(stages.evaluate(place, images, labels, common).accuracy)
        if recipe.data.leave_out is not None:
            means["ood_accuracy"].append(means["accuracy"][-1])
        if "corruption_error" in trained.measures:
            means["corruption_error"].append(trained.measures["corruption_error"])
        if any(means.get(c.metric) and c.excess(means[c.metric][0]) > FAR for c in space.constraints):
            break
    assert lowered is not None
    climb.metrics |= {name: fmean(values) for name, values in means.items() if values} | _from_graph(lowered, recipes[0])
    first = Common(places[0], store)
    if upto == "model" or _hopeless(space, climb.metrics, beaten_by):
        return climb.measured("model")
    cells = stages.synth(places[0], recipes[0].build.board, first)
    climb.keep(cells)
    climb.metrics |= {"luts": cells.luts, "ffs": cells.ffs, "brams": cells.brams, "lut_cycles": cells.luts * lowered.interval_cycles}
    if RUNGS.index(upto) < RUNGS.index("build"):
        return climb.measured("synth")
    try:
        built = stages.build(places[0], BuildOptions(recipes[0].build.board, 0), first)
    except FitError as error:
        return climb.measured("synth", f"{error.where}: {error.found}")
    climb.keep(built)
    climb.metrics["fmax_mhz"] = built.fmax_mhz
    if not built.timing_met:
        return climb.measured("build", _too_slow(built))
    if upto == "build":
        return climb.measured("build")
    frames = space.file.check_frames
    checked = stages.check(places[0], CheckOptions(frames=frames, second_frames=0, stalls=(0.0, 0.3), seed=0), first)
    climb.keep(checked)
    return climb.measured("check", _differs(checked))


class _Pruner:
    """Told each epoch's validation accuracy; raises `PrunedError` where a constraint on it is out of reach."""

    def __init__(self, space: Space) -> None:
        self.bounds = [c for c in space.constraints if c.metric == "val_accuracy" and c.sign < 0]
        self.best, self.seen = 0.0, 0

    def __call__(self, epoch: int, epochs: int, accuracy: float) -> None:
        self.best, self.seen = max(self.best, accuracy), self.seen + 1
        for share, far in PRUNED_AT:
            for bound in self.bounds:
                # A training that goes on after a kill tells only its later epochs: one alone may be a dip.
                if self.seen >= 3 and share * epochs <= epoch < epochs and bound.excess(self.best) > far:
                    text = f"validation accuracy {self.best:.3f} after {epoch} of {epochs} epochs, {bound.bound:g} wanted"
                    raise PrunedError(f"training: stopped, {text}")


def _lower_options(recipe: Recipe, place: Path, codes: str, beside: Path) -> LowerOptions:
    fold = recipe.fold
    return LowerOptions(
        samples=place / codes, max_samples=recipe.lower.samples, board=recipe.build.board, target_fps=fold.target_fps,
        max_luts=fold.max_luts, folding=beside / fold.folding if fold.folding else None,
    )  # fmt: skip


def _from_graph(lowered: LowerResult, recipe: Recipe) -> dict[str, float]:
    """What the folded graph and the cost model say: cycles and bits exactly, cells as estimates."""
    clock_mhz = board(recipe.build.board).clock_mhz
    return {
        "luts": lowered.luts_estimated,
        "ffs": lowered.ffs_estimated,
        "brams": lowered.brams_estimated,
        "weight_bits": lowered.weight_bits,
        "fifo_bits": lowered.fifo_bits,
        "memory_bits": lowered.weight_bits + lowered.fifo_bits,
        "latency_cycles": lowered.latency_cycles,
        "latency_us": lowered.latency_cycles / clock_mhz,
        "interval_cycles": lowered.interval_cycles,
        "fps": clock_mhz * 1e6 / lowered.interval_cycles,
        "lut_cycles": lowered.luts_estimated * lowered.interval_cycles,
    }


def _hopeless(space: Space, metrics: Mapping[str, float], beaten_by: Sequence[Vector]) -> bool:
    """Whether a measured point beats this one even if its cells were estimated too high by `MODEL_ERROR`."""
    if not beaten_by:
        return False
    cells = ("luts", "ffs", "brams", "lut_cycles")
    best = space.vector({name: value * (1 - MODEL_ERROR) if name in cells else value for name, value in metrics.items()})
    return any(dominates(other, best) for other in beaten_by)


def _too_slow(built: BuildResult) -> str:
    return f"{built.fmax_mhz:.1f} MHz reached, {built.clock_mhz:g} MHz needed; slowest path: {built.slowest_path}"


def _differs(checked: CheckResult) -> str:
    return checked.first_difference or "" if checked.frames else ""
