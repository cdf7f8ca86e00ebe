"""explore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arbonn.flows.cli import command
from arbonn.flows.commands.answer import Answer, Json, table


@command
def explore(
    space: Annotated[Path, typer.Argument(help="Search space, a TOML file.", metavar="SPACE", show_default=False)],
    trials: Annotated[int, typer.Option(min=1, help="Points to be known at the end, those of earlier runs included.")] = 60,
    out: Annotated[Path | None, typer.Option(help="Folder of the search; build/NAME by default.", show_default=False)] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Points measured at once, each in a process of its own.")] = 1,
    cluster: Annotated[str | None, typer.Option(help="Address of a Dask scheduler whose workers measure instead.")] = None,
    storage: Annotated[
        str | None, typer.Option(help="URL of a database for the trials, shared by several owners; a file by default.")
    ] = None,
    sampler: Annotated[str, typer.Option(help="tpe, nsga2 or random.")] = "tpe",
    seed: Annotated[int, typer.Option(min=0, help="Of the sampler.")] = 0,
    json: Json = False,
) -> Answer:
    """Search a space of networks, methods, foldings and boards for accuracy against hardware cost.

    Example: arbonn explore recipes/spaces/digits.toml --trials 60
    Next:    arbonn report build/digits-space
    """
    from typing import get_args

    from arbonn.errors import InputError
    from arbonn.flows.explore.explore import ExploreOptions
    from arbonn.flows.explore.explore import explore as search
    from arbonn.flows.explore.samplers import Sampler
    from arbonn.flows.progress import shown

    if sampler not in get_args(Sampler):
        raise InputError("--sampler", found=sampler, allowed=", ".join(get_args(Sampler)))
    with shown() as report:
        result = search(space, ExploreOptions(trials, jobs, cluster, storage, sampler, seed), out, report=report)  # type: ignore[arg-type]
    rows = {
        "points": f"{result.trials} of {result.size} known, {result.new} measured now, {result.stored} of these found in the store",
        **{
            ", ".join(f"{name} {p.metrics[name]:g}" for name in result.objectives): ", ".join(f"{a} {c}" for a, c in p.point.items())
            + f" ({p.rung})"
            for p in sorted(result.front, key=lambda p: p.metrics[next(iter(result.objectives))])
        },
        "hypervolume": f"{result.hypervolume:g} from {', '.join(f'{n} {v:g}' for n, v in result.reference.items())}",
        "lost": f"{len(result.lost)} points; the first: {result.lost[0]}" if result.lost else None,
        "time": f"{result.seconds:.1f} s",
    }
    return Answer(result.as_json(), lambda: table(f"{result.name}: the front", rows))
