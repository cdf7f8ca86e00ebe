"""The commands: their options, their help, and how their results are printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from arbonn.flows.cli import command

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe; may be repeated.")]
RecipeFile = Annotated[Path, typer.Argument(help="Recipe, a TOML file.", metavar="RECIPE", show_default=False)]


@dataclass(frozen=True)
class Answer:
    """What a command found: its JSON data, how it is shown to a person, and the exit code."""

    data: dict[str, Any]
    show: Callable[[], None]
    exit_code: int = 0


@command
def train(
    recipe: RecipeFile,
    out: Annotated[Path | None, typer.Option(help="Folder for the results; build/NAME by default.", show_default=False)] = None,
    overrides: Set = None,
    json: Json = False,
) -> Answer:
    """Train the network of a recipe and export it to QONNX.

    Example: arbonn train recipes/digits.toml --out build/digits
    Next:    arbonn lower build/digits/model.onnx --out build/digits
    """
    from arbonn.flows import stages
    from arbonn.flows.progress import shown
    from arbonn.flows.recipe import load_recipe

    wanted = load_recipe(recipe, overrides or ())
    folder = out or Path("build") / wanted.name
    with shown() as report:
        result = stages.train(wanted, out=folder, report=report)
    rows = {
        "float accuracy (test)": f"{result.float_accuracy:.4f}",
        "accuracy (validation)": f"{result.val_accuracy:.4f}",
        "epochs": f"{result.epochs}, best {result.best_epoch}",
        "binary weights": f"{result.binary_weights}",
        "model": str(folder / result.model),
    }
    return Answer(result.as_json(), lambda: table(f"{wanted.name}: trained by {result.method}", rows))


@command
def doctor(json: Json = False) -> Answer:
    """Show what is installed, what each missing tool would allow, and the line that gets it.

    Example: arbonn doctor
    Next:    arbonn run recipes/digits.toml
    """
    from arbonn.flows.doctor import examine, store_line

    findings = examine()
    missing = [f for f in findings if f.version is None]
    required = [f for f in missing if not f.optional]
    data = {"schema": 1, "store": store_line(), "tools": {f.tool: vars(f) for f in findings}, "missing": [f.tool for f in missing]}

    def show() -> None:
        table("tools", {f.tool: f.version or f"MISSING: no {f.allows}. To get it: {f.get}" for f in findings} | {"store": store_line()})

    return Answer(data, show, exit_code=2 if required else 0)


@command
def clean(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the size.")] = False,
    json: Json = False,
) -> Answer:
    """Show the size of the store of results and empty it. Links in build folders then lead nowhere; their reports stay.

    Example: arbonn clean --dry-run
    Next:    arbonn run recipes/digits.toml
    """
    from arbonn.flows.store import Store

    store = Store()
    objects, octets = store.size() if dry_run else store.clear()
    left, _ = store.size()
    data = {"schema": 1, "store": str(store.root), "objects": objects, "bytes": octets, "removed": not dry_run, "objects_left": left}
    what = "would be removed" if dry_run else "removed" + (f", {left} in use" if left else "")
    return Answer(data, lambda: print(f"{store.root}: {objects} results, {octets / 1e6:.1f} MB {what}"))


def table(title: str, rows: dict[str, str]) -> None:
    """Two columns for a person."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title, box=box.SIMPLE, show_header=False, title_justify="left", title_style="bold")
    drawn.add_column(style="cyan", no_wrap=True)
    drawn.add_column(overflow="fold")
    for name, value in rows.items():
        drawn.add_row(name, value)
    Console().print(drawn, markup=False)
