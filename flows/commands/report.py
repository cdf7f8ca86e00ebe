"""report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arbonn.flows.cli import command
from arbonn.flows.commands.answer import Answer, Json, table


@command
def report(
    folder: Annotated[Path, typer.Argument(help="Folder that `arbonn run` wrote.", metavar="DIR", show_default=False)],
    json: Json = False,
) -> Answer:
    """Write the page report.html of a folder of results: one file that opens anywhere and asks nothing of any network.

    Example: arbonn report build/digits
    Next:    open build/digits/report.html in a browser
    """
    from arbonn.flows.report import read_summary, write_report
    from arbonn.flows.report.page import external_requests

    page = folder / "report.html"
    write_report(read_summary(folder), page)
    size, outside = page.stat().st_size, external_requests(page.read_text(encoding="utf-8"))
    found = {"schema": 1, "report": str(page), "file": str(page), "bytes": size, "external_requests": len(outside)}
    rows = {"page": page, "size": f"{size:,} bytes", "external requests": len(outside)}
    return Answer(found, lambda: table(str(folder), rows), exit_code=1 if outside else 0)
