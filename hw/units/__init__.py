"""The units, one file each. A unit from outside the tree registers its Node class by the entry point group `arbonn.units`."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules

from arbonn.errors import GraphError
from arbonn.hw.graph import Node


@cache
def unit_kinds() -> dict[str, type[Node]]:
    """Every known unit by the name of its class."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    for entry in entry_points(group="arbonn.units"):
        entry.load()
    found: dict[str, type[Node]] = {}
    waiting = [Node]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            if not kind.__abstractmethods__:
                found[kind.__name__] = kind
    return found


def unit_kind(name: str) -> type[Node]:
    """The Node class called `name`. Raises GraphError for an unknown unit."""
    if name not in unit_kinds():
        raise GraphError(f"unit {name!r}", found="no such unit", allowed=", ".join(sorted(unit_kinds())))
    return unit_kinds()[name]
