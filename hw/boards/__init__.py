"""Boards, one file each: a module of this package, or of any other by an entry point `arbonn.boards`, that holds a `BOARD`."""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil

from arbonn.errors import InputError
from arbonn.hw.boards.board import Board

__all__ = ["Board", "board", "boards"]


def boards() -> dict[str, Board]:
    """All boards by name."""
    own = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    found = [module.BOARD for module in own if hasattr(module, "BOARD")]
    found += [point.load() for point in importlib.metadata.entry_points(group="arbonn.boards")]
    return {b.name: b for b in sorted(found, key=lambda b: b.name)}


def board(name: str) -> Board:
    """The board called `name`. Raises InputError that lists the boards there are."""
    known = boards()
    if name not in known:
        raise InputError("--board", found=f"no board {name!r}", allowed=", ".join(known))
    return known[name]
