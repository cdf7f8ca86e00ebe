"""doctor and clean."""

from __future__ import annotations

from typing import Annotated

import typer

from arbonn.flows.cli import command
from arbonn.flows.commands.answer import Answer, Json, table


@command
def doctor(json: Json = False) -> Answer:
    """Show what is installed, what each missing tool would allow, and the line that gets it.

    Example: arbonn doctor
    Next:    arbonn run recipes/digits.toml
    """
    from arbonn.flows.doctor import boards_need, examine, version_of
    from arbonn.flows.packaging.package import vendor_boards
    from arbonn.flows.store import default_root

    findings = examine()
    missing = [f for f in findings if f.version is None]
    required = [f for f in missing if not f.optional]
    data = {"schema": 1, "store": str(default_root()), "tools": {f.tool: vars(f) for f in findings}, "missing": [f.tool for f in missing]}
    vendor = vendor_boards()
    lacking = {board: [name for name in needs if version_of(name) is None] for board, needs in boards_need().items()}
    data["boards"] = {board: {"tools": needs, "missing": lacking[board]} for board, needs in boards_need().items()}
    rows = {f.tool: f.version or f"MISSING, for {f.allows}; to get it: {f.get}" for f in findings}
    rows |= {
        f"board {name}": f"MISSING {', '.join(missing)}" if missing else "ready" + (", for Vivado to finish" if name in vendor else "")
        for name, missing in lacking.items()
    }
    rows |= {"store": str(default_root())}
    return Answer(data, lambda: table("tools", rows), exit_code=2 if required else 0)


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
