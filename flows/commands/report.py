"""report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arbonn.flows.cli import command
from arbonn.flows.commands.answer import Answer, Json, table


@command
def report(
    folders: Annotated[
        list[Path], typer.Argument(help="Folder of a run or of a search; two of runs to compare.", metavar="DIR...", show_default=False)
    ],
    compare: Annotated[bool, typer.Option("--compare", help="Show two runs side by side, in compare.html of the first.")] = False,
    json: Json = False,
) -> Answer:
    """Write the page report.html of a folder of results: one file that opens anywhere and asks nothing of any network.

    Example: arbonn report build/digits
    Next:    open build/digits/report.html in a browser
    """
    from arbonn.errors import InputError
    from arbonn.flows import report as pages
    from arbonn.flows.explore.found import FOUND
    from arbonn.flows.report.page import external_requests

    if len(folders) != 1 + compare:
        allowed = "two folders of runs" if compare else "one folder; two with --compare"
        raise InputError("arbonn report", found=f"{len(folders)} folders", allowed=allowed, fix="see `arbonn report --help`")
    page = folders[0] / ("compare.html" if compare else "report.html")
    if compare:
        one, other = folders
        pages.write_comparison((pages.read_summary(one), pages.read_summary(other)), (one, other), page)
    elif (folders[0] / FOUND).exists():
        pages.write_search(pages.read_search(folders[0]), page)
    else:
        pages.write_report(pages.read_summary(folders[0]), page)
    size, outside = page.stat().st_size, external_requests(page.read_text(encoding="utf-8"))
    found = {"schema": 1, "report": str(page), "file": str(page), "bytes": size, "external_requests": len(outside)}
    rows = {"page": page, "size": f"{size:,} bytes", "external requests": len(outside)}
    return Answer(found, lambda: table(" and ".join(map(str, folders)), rows), exit_code=1 if outside else 0)
