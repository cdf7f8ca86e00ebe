"""What a trial costs besides its work: asking and telling, the store, and the way to a worker and back.

    python -m arbonn.flows.explore.overhead recipes/spaces/digits.toml
    python -m arbonn.flows.explore.overhead recipes/spaces/digits.toml --storage postgresql://user@host/db --cluster tcp://host:8786

prints wall time and this process's own time in milliseconds. A search of the space's name is left in the database, and nothing else.

    python -m arbonn.flows.explore.overhead recipes/spaces/digits.toml --by-hand 24 --rounds 2

prints instead how much longer a search of so many points with two workers takes than the same two jobs started by hand (`by_hand.py`).
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any, get_args

from arbonn.files import write_text
from arbonn.flows.explore.by_hand import turns
from arbonn.flows.explore.jobs import jobs
from arbonn.flows.explore.metrics import METRICS
from arbonn.flows.explore.point import Measured
from arbonn.flows.explore.samplers import Sampler
from arbonn.flows.explore.space import Point, Space, load_space
from arbonn.flows.explore.study import open_study
from arbonn.flows.progress import shown
from arbonn.flows.store import Store, Work

STAGES = 5  # of a point that go through the store: train, lower, synth, build, check
OCTETS = 1_000_000  # of a stage's files: what a training of the digits leaves


@dataclass(frozen=True)
class Cost:
    """Of one step, in milliseconds: mean wall time, its 95th percentile, and the mean of this process's own time."""

    step: str
    times: int
    mean_ms: float
    p95_ms: float
    own_ms: float


class _Clock:
    """Times a step many times over."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.walls: list[float] = []
        self.owns: list[float] = []

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        wall, own = time.perf_counter(), time.process_time()
        result = function(*arguments)
        self.walls.append(1000 * (time.perf_counter() - wall))
        self.owns.append(1000 * (time.process_time() - own))
        return result

    def cost(self) -> Cost:
        p95 = quantiles(self.walls, n=20)[-1] if len(self.walls) > 1 else self.walls[0]
        return Cost(self.step, len(self.walls), fmean(self.walls), p95, fmean(self.owns))


def of_trials(space: Space, trials: int, sampler: Sampler, storage: str | None, folder: Path) -> list[Cost]:
    """Asking for and telling so many points, with made-up figures, in a journal in `folder` or in a database."""
    draw = random.Random(0)
    ask, tell = _Clock("ask"), _Clock("tell")
    study = open_study(space, storage, folder, sampler, 0)
    try:
        while len(study.known) < min(trials, space.size):
            asked = ask.run(study.ask)
            assert asked is not None, "points are left"
            metrics = {name: draw.uniform(kind.least, min(kind.most, 10_000)) for name, kind in METRICS.items()}
            tell.run(study.tell, *asked, Measured(metrics, "synth", 1.0, False))
    finally:
        study.close()
    return [ask.cost(), tell.cost()]


def of_store(folder: Path, times: int) -> Cost:
    """Finding the stages of a point that are stored."""
    store, clock = Store(folder), _Clock(f"store, {STAGES} stages")
    works = [Work("overhead", {"stage": str(number)}, {}, {}, ("errors.py",)) for number in range(STAGES)]
    for work in works:
        store.get(work, lambda place: write_text(place / "result.json", "x" * OCTETS))
    for _ in range(times):
        clock.run(lambda: [store.get(work, lambda place: None) for work in works])
    return clock.cost()


def of_jobs(space: Space, cluster: str | None, times: int) -> Cost:
    """A job that does nothing, to a worker and back, with the arguments of one that measures."""
    clock = _Clock("to a worker and back")
    points = space.points()
    with jobs(2, cluster) as workers:
        for ticket in range(times + 2):

            def there_and_back(ticket: int = ticket) -> None:
                workers.submit(ticket, nothing, space, points[ticket % len(points)], Path("out"), None, "synth", [(0.0, 0.0)] * 20)
                while not list(workers.done()):
                    pass

            (clock if ticket > 1 else _Clock("first")).run(there_and_back)  # the first job of a worker imports everything
    return clock.cost()


def nothing(space: Space, point: Point, *others: Any) -> Measured:
    """What a job gives back."""
    return Measured(dict.fromkeys(METRICS, 1.0), "synth", 0.0, True, "", "out")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("space", type=Path)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--sampler", choices=get_args(Sampler), default="tpe")
    parser.add_argument("--storage")
    parser.add_argument("--cluster")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--by-hand", type=int, metavar="POINTS", help="compare a search with two workers and the same jobs by hand")
    parser.add_argument("--rounds", type=int, default=2, help="of --by-hand: how often both are run, in turns")
    given = parser.parse_args(arguments)
    space = load_space(given.space)
    if given.by_hand is not None:
        _beside_by_hand(space, given.by_hand, given.rounds, given.json)
        return
    with tempfile.TemporaryDirectory(prefix="arbonn-overhead-") as name:
        costs = [
            *of_trials(space, given.trials, given.sampler, given.storage, Path(name)),
            of_store(Path(name) / "store", given.trials), of_jobs(space, given.cluster, given.trials),
        ]  # fmt: skip
    if given.json:
        print(json.dumps([vars(cost) for cost in costs], indent=1))
        return
    for cost in costs:
        print(f"{cost.step:24} {cost.mean_ms:7.1f} ms ({cost.p95_ms:.1f} at the 95th percentile; {cost.own_ms:.1f} of this process)")
    print(f"{'a trial':24} {sum(cost.mean_ms for cost in costs):7.1f} ms ({sum(cost.own_ms for cost in costs):.1f} of this process)")


def _beside_by_hand(space: Space, points: int, rounds: int, as_json: bool) -> None:
    with shown() as report:
        found = turns(space, points, rounds, report)
    ratio = sum(turn.search_s for turn in found) / sum(turn.by_hand_s for turn in found)
    if as_json:
        print(json.dumps({"turns": [vars(turn) for turn in found], "ratio": ratio}, indent=1))
        return
    for turn in found:
        split = " and ".join(map(str, turn.points))
        print(f"two workers {turn.search_s:.1f} s, by hand {turn.by_hand_s:.1f} s ({split} points): {turn.search_s / turn.by_hand_s:.3f}")
    print(f"all turns: {ratio:.3f}")


if __name__ == "__main__":
    main()
