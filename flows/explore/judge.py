"""How good the samplers are where every point is known: searches replayed on a table, paired by seed with random search.

    python -m arbonn.flows.explore.judge recipes/spaces/digits.toml --seeds 30 --trials 60

prints, for each sampler, the mean hypervolume after so many trials as a share of the whole space's, its ratio to random search's, and the
95 % interval of that ratio over the seeds. `--tabulate` measures the table again; it can be stopped and goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import optuna

from arbonn.flows.compare.statistics import Paired, paired
from arbonn.flows.explore.front import hypervolume
from arbonn.flows.explore.samplers import Sampler, sampler_of
from arbonn.flows.explore.space import Space, load_space
from arbonn.flows.explore.study import Study, directions_of, key_of
from arbonn.flows.explore.tabulated import Table, read_table, table_file, tabulate, write_table
from arbonn.flows.progress import shown


@dataclass(frozen=True)
class Judged:
    """One sampler over all seeds. `share`: mean hypervolume, of the whole space's; `ratio`: hypervolume over random's of the same seed.

    `better`, `equal`: in how many seeds it is above random search, and equal to it; `seconds_per_trial`: of asking and telling.
    """

    sampler: str
    seeds: int
    trials: int
    share: float
    shares: list[float]
    ratio: Paired
    better: int
    equal: int
    seconds_per_trial: float


def replay(space: Space, table: Table, sampler: Sampler, seed: int, trials: int) -> float:
    """The hypervolume that a search of so many trials ends with, where measuring is looking up."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = Study(space, optuna.create_study(directions=directions_of(space)), sampler_of(sampler, seed), seed)
    while len(study.known) < min(trials, space.size):
        asked = study.ask()
        assert asked is not None, "points are left"
        number, point = asked
        study.tell(number, point, table[key_of(point)])
    return volume(space, study.known)


def volume(space: Space, found: Table) -> float:
    """The hypervolume of what is allowed of these points."""
    study = Study(space, optuna.create_study(directions=directions_of(space)), sampler_of("random", 0), 0)
    allowed = [space.vector(measured.metrics) for measured in found.values() if study.allowed(measured)]
    return hypervolume(allowed, space.vector(space.file.reference))


def judge(space: Space, table: Table, samplers: Sequence[Sampler], seeds: int, trials: int) -> list[Judged]:
    """Replays of each sampler and of random search, for seeds 0 .. `seeds` - 1."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    whole = volume(space, table)
    base = [replay(space, table, "random", seed, trials) for seed in range(seeds)]
    judged = []
    for sampler in samplers:
        begin = time.perf_counter()
        found = base if sampler == "random" else [replay(space, table, sampler, seed, trials) for seed in range(seeds)]
        took = time.perf_counter() - begin
        judged.append(
            Judged(
                sampler, seeds, trials, sum(found) / seeds / whole, [volume / whole for volume in found],
                paired([a / b for a, b in zip(found, base, strict=True)]),
                sum(a > b for a, b in zip(found, base, strict=True)), sum(a == b for a, b in zip(found, base, strict=True)),
                took / seeds / trials,
            )
        )  # fmt: skip
    return judged


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("space", type=Path)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--sampler", choices=get_args(Sampler), action="append")
    parser.add_argument("--tabulate", action="store_true", help="measure every point, and write the table beside the space")
    parser.add_argument("--out", type=Path, help="folder of the points that are measured; build/NAME-table by default")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    space = load_space(given.space)
    if given.tabulate:
        with shown() as report:
            table = tabulate(space, given.out or Path("build") / f"{space.file.name}-table", report=report)
        write_table(space, table, table_file(space))
    judged = judge(space, read_table(space, table_file(space)), given.sampler or get_args(Sampler), given.seeds, given.trials)
    if given.json:
        print(json.dumps([asdict(j) for j in judged], indent=1))
        return
    print(f"{space.path}: {space.size} points, {given.trials} trials, {given.seeds} seeds; hypervolumes from {space.file.reference}")
    for j in judged:
        over = f"over random {j.ratio.mean:.4f} (95 %: {j.ratio.low:.4f} .. {j.ratio.high:.4f})"
        print(
            f"{j.sampler:8} {j.share:.4f} of the whole space's; {over}, better in {j.better}, equal in {j.equal} of {j.seeds};"
            f" {1000 * j.seconds_per_trial:.1f} ms a trial"
        )


if __name__ == "__main__":
    main()
