"""What commands share: their answer, the options that occur in many, and how a table looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe; may be repeated.")]
RecipeFile = Annotated[Path, typer.Argument(help="Recipe, a TOML file.", metavar="RECIPE", show_default=False)]
BuildFolder = Annotated[
    Path, typer.Argument(help="Folder with graph.json and graph.npz, from `arbonn lower`.", metavar="BUILD", show_default=False)
]
Board = Annotated[str, typer.Option(help="Board to fold for and to build for.")]


@dataclass(frozen=True)
class Answer:
    """What a command found: its JSON data, how it is shown to a person, and the exit code."""

    data: Mapping[str, Any]
    show: Callable[[], None]
    exit_code: int = 0


def table(title: str, rows: Mapping[str, object]) -> None:
    """Two columns for a person; rows that are None are left out."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title, box=box.SIMPLE, show_header=False, title_justify="left", title_style="bold")
    drawn.add_column(style="cyan", no_wrap=True)
    drawn.add_column(overflow="fold")
    for name, value in rows.items():
        if value is not None:
            drawn.add_row(name, str(value))
    Console().print(drawn, markup=False)
