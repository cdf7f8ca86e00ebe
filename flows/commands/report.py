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
    from arbonn.flows.report import report as write

    if len(folders) != 1 + compare:
        allowed = "two folders of runs" if compare else "one folder; two with --compare"
        raise InputError("arbonn report", found=f"{len(folders)} folders", allowed=allowed, fix="see `arbonn report --help`")
    written = write(*folders)
    outside = len(written.external_requests)
    rows = {"page": written.file, "size": f"{written.bytes:,} bytes", "external requests": outside}
    return Answer(written.as_json(), lambda: table(" and ".join(map(str, folders)), rows), exit_code=1 if outside else 0)
