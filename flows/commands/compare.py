"""compare: published claims, seed by seed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arbonn.flows.cli import command
from arbonn.flows.commands.answer import Answer, Json


@command
def compare(
    claims: Annotated[list[Path], typer.Argument(help="Claims, TOML files.", metavar="CLAIM...", show_default=False)],
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds of each arm; by default as many as the kind of claim needs.")] = None,
    first_seed: Annotated[int, typer.Option(min=0, help="The first of the seeds.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for a JSON file of each claim.")] = Path("build/claims"),
    page: Annotated[Path | None, typer.Option("--table", help="Markdown file for all of them.", show_default=False)] = None,
    json: Json = False,
) -> Answer:
    """Compare training methods as a claim says: arms paired by seed, the difference with its interval, and whether the claim was seen.

    Example: arbonn compare recipes/claims/rebnn.toml --seeds 3 --jobs 2
    Next:    arbonn compare recipes/claims/*.toml --table docs/claims.md
    """
    from json import dumps

    from arbonn.files import write_text, writing
    from arbonn.flows.compare.claim import load_claim
    from arbonn.flows.compare.compare import compare as compare_arms
    from arbonn.flows.compare.table import markdown, show
    from arbonn.flows.progress import shown

    for path in claims:
        load_claim(path)  # a wrong one is told before hours of training for those before it
    results = []
    with shown() as report:
        for path in claims:
            result = compare_arms(path, seeds, first_seed=first_seed, jobs=jobs, report=report)
            with writing(out):
                write_text(out / f"{result.name}.json", dumps(result.as_json(), indent=1, ensure_ascii=False) + "\n")
            results.append(result)
            if page is not None:  # after each: a stopped run leaves a page of what is finished
                seen = " ".join(map(str, claims))
                with writing(page):
                    write_text(page, markdown(results, f"arbonn compare {seen}" + (f" --seeds {seeds}" if seeds else "")))
    return Answer({"schema": 1, "claims": [result.as_json() for result in results]}, lambda: show(results))
