"""A space of eight points, and a stand-in for measuring them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from arbonn.errors import FitError
from arbonn.flows.explore.point import Measured
from arbonn.flows.explore.space import Point, Space
from arbonn.flows.store import Store

RECIPE = Path(__file__).parents[3] / "recipes" / "digits.toml"
SPACE = f"""
name = "tiny-space"
recipe = {str(RECIPE)!r}
reference = {{ val_accuracy = 0.1, luts = 5000 }}
ladder = "synth"

[axes]
"network.sizes" = [[4], [8]]
"fold.target_fps" = [200, 20000]
method = {{ ste = {{ "method.name" = "ste", "train.epochs" = 1 }}, irnet = {{ "method.name" = "irnet", "train.epochs" = 1 }} }}

[objectives]
val_accuracy = "max"
luts = "min"

[constraints]
val_accuracy = ">= 0.2"
"""


def write_space(folder: Path, text: str = SPACE) -> Path:
    path = folder / "space.toml"
    path.write_text(text)
    return path


def metrics_of(point: Point) -> dict[str, float]:
    """Figures with a front of three points: [4] at 200, [8] at 200 by either method."""
    wide, fast, irnet = point["network.sizes"] == "[8]", point["fold.target_fps"] == "20000", point["method"] == "irnet"
    accuracy = 0.5 + 0.2 * wide + 0.1 * (irnet and wide)
    return {"accuracy": accuracy, "val_accuracy": accuracy, "luts": 100.0 + 100 * wide + 50 * fast + 10 * irnet}


def quick(space: Space, point: Point, out: Path, store: Store | None, upto: str, beaten_by: object = ()) -> Measured:
    """Measures nothing; writes down that it was asked."""
    with (out / "asked.txt").open("a") as asked:
        asked.write(f"{sorted(point.items())} {upto}\n")
    return Measured(metrics_of(point), upto, 0.0, cached=False)


def deadly(space: Space, point: Point, out: Path, store: Store | None, upto: str, beaten_by: object = ()) -> Measured:
    """The same, but the first worker that measures it dies in the middle, like one that runs out of memory."""
    try:
        (out / "died").touch(exist_ok=False)
    except FileExistsError:
        time.sleep(0.1)
        return quick(space, point, out, store, upto)
    os._exit(1)


def never_fits(space: Space, point: Point, out: Path, store: Store | None, upto: str, beaten_by: object = ()) -> Measured:
    raise FitError("board", found="too large")


def hanging(space: Space, point: Point, out: Path, store: Store | None, upto: str, beaten_by: object = ()) -> Measured:
    """The same, but the third point that is asked for here is never finished."""
    if (out / "asked.txt").exists() and len((out / "asked.txt").read_text().splitlines()) == 2:
        quick(space, point, out, store, upto)
        (out / "hangs").touch()
        time.sleep(600)
    return slowly(space, point, out, store, upto)


def slowly(space: Space, point: Point, out: Path, store: Store | None, upto: str, beaten_by: object = ()) -> Measured:
    time.sleep(0.5)
    return quick(space, point, out, store, upto)


def owner(space: str, out: str, url: str, measure: str) -> None:
    """One owner of a shared search, as a process runs it: `python -c`, with short signs of life."""
    from arbonn.flows.explore import explore as module
    from arbonn.flows.explore.storage import Signs

    module.measure = globals()[measure]
    module.explore(Path(space), module.ExploreOptions(trials=8, storage=url, signs=Signs(interval=1, grace=3)), Path(out))
