"""The stages as typed functions: inputs and options in, a result out; each result is kept in the content store.

The command line calls these and prints; a program calls them through `import arbonn`. Heavy libraries are imported inside, so that
importing this module costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from arbonn.files import write_text
from arbonn.flows.doctor import version_of
from arbonn.flows.progress import Report, silent
from arbonn.flows.recipe import Recipe, load_recipe
from arbonn.flows.results import StageResult, TrainResult
from arbonn.flows.store import Store, Work, link

R = TypeVar("R", bound=StageResult)
COMMON = ("errors.py", "files.py", "settings.py")


def _kept(work: Work, kind: type[R], make: Callable[[Path], R], out: Path | None, name: str, store: Store | None) -> R:
    """The result of `work` from the store, made now if it is not there; with `out`, linked as `out/name`."""

    def fill(folder: Path) -> None:
        begin = time.perf_counter()
        result = make(folder)
        took = time.perf_counter() - begin
        result = result.model_copy(update={"versions": dict(work.versions), "seconds": result.seconds or round(took, 3), "folder": ""})
        write_text(folder / "result.json", result.model_dump_json(by_alias=True, indent=1))

    path, cached = (store or Store()).get(work, fill)
    if out is not None:
        link(path, out / name)
        path = out / name
    result = kind.model_validate_json((path / "result.json").read_text(encoding="utf-8"))
    return result.model_copy(update={"cached": cached, "folder": str(path)})


def train(recipe: Recipe | Path, *, out: Path | None = None, store: Store | None = None, report: Report = silent) -> TrainResult:
    """Trains the network of a recipe and exports it; a killed training goes on from its last checkpoint."""
    wanted = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    tools = ("torch", "brevitas", "numpy", "onnx", "lightning-fabric", "scikit-learn")

    def make(folder: Path) -> TrainResult:
        from arbonn.model.train import Progress
        from arbonn.model.train import train as train_network

        def on_progress(at: Progress) -> None:
            report("train", at.epoch / at.epochs)

        report("train", 0.0)
        outcome = train_network(wanted, folder, on_progress)
        fields = set(TrainResult.model_fields) & set(type(outcome).model_fields) - {"model", "test_codes", "test_labels"}
        return TrainResult(**outcome.model_dump(include=fields))

    work = Work("train", {}, wanted.training(), {t: version_of(t) for t in tools}, ("model", *COMMON), resumable=True)
    result = _kept(work, TrainResult, make, out, "train", store)
    if out is not None:
        link(Path("train") / result.model, out / result.model)
    return result
