"""Boards, one file each: a module of this package, or of any other by an entry point `arbonn.boards`, that holds a `BOARD`."""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil

from arbonn.errors import InputError
from arbonn.hw.boards.amd import AmdBoard, amd_boards
from arbonn.hw.boards.board import Board
from arbonn.settings import nearest

__all__ = ["AmdBoard", "Board", "any_board", "board", "boards", "every_board"]


def boards() -> dict[str, Board]:
    """All boards by name."""
    own = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    found = [module.BOARD for module in own if hasattr(module, "BOARD")]
    found += [point.load() for point in importlib.metadata.entry_points(group="arbonn.boards")]
    return {b.name: b for b in sorted(found, key=lambda b: b.name)}


def every_board() -> dict[str, Board | AmdBoard]:
    """Those, and AMD's whose processor stands before the logic."""
    found: dict[str, Board | AmdBoard] = {**boards(), **amd_boards()}
    return dict(sorted(found.items()))


def any_board(name: str) -> Board | AmdBoard:
    """The board called `name`. Raises InputError that lists the boards there are."""
    known = every_board()
    if name not in known:
        raise InputError("--board", found=f"no board {name!r}", allowed=", ".join(known), fix=nearest(name, known))
    return known[name]


def board(name: str) -> Board:
    """`any_board` where a serial line is needed."""
    found = any_board(name)
    if not isinstance(found, Board):
        raise InputError("--board", found=f"{name} has no serial line to its logic", allowed=", ".join(boards()))
    return found
