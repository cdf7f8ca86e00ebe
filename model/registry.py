"""Names that recipes use for methods, data sets and networks, from this tree and, by entry points, from outside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Generic, TypeVar

from arbonn.errors import RecipeError
from arbonn.settings import nearest

T = TypeVar("T")


def registered_in(folder: Path, package: str, decorator: str) -> dict[str, str]:
    """Name and module of everything that files of `folder` register by `@decorator("name")`, read without importing a file.

    So one new file is all that it takes to add an entry, and listing the names imports nothing.
    """
    pattern = re.compile(rf'^@{decorator}\("([^"]+)"\)', re.MULTILINE)
    files = sorted(folder.glob("*.py"))
    return {name: f"{package}.{file.stem}" for file in files for name in pattern.findall(file.read_text(encoding="utf-8"))}


class Registry(Generic[T]):
    """Maps a name to an object that its module registers when it is imported.

    `builtin` names the module of each object of this tree, so that looking up one method imports that method alone (and torch
    only then). Other packages offer theirs as an entry point of `group`: the object itself, or a module that registers it.
    """

    def __init__(self, kind: str, group: str, builtin: Mapping[str, str]) -> None:
        self.kind, self.group, self._modules = kind, group, dict(builtin)
        self._found: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: makes the decorated object known as `name`."""

        def keep(entry: T) -> T:
            known = self._found.get(name)
            # The same definition, imported again under another module object, is no conflict; two different ones are.
            if known is not None and getattr(known, "__qualname__", name) != getattr(entry, "__qualname__", name):
                raise ValueError(f"two {self.kind}s are called {name!r}: {known!r} and {entry!r}")
            self._found[name] = entry
            return entry

        return keep

    def names(self) -> list[str]:
        """Every name that `get` knows, sorted."""
        return sorted({*self._modules, *self._found, *(point.name for point in entry_points(group=self.group))})

    def check(self, name: str, where: str) -> None:
        """Raises for an unknown name, importing nothing. `where` is the file and key that hold it."""
        if name in self._modules or name in self._found:
            return  # without a look at the packages that are installed, which takes its time
        names = self.names()
        if name not in names:
            raise RecipeError(where, found=f"unknown {self.kind} `{name}`", allowed=", ".join(names), fix=nearest(name, names))

    def get(self, name: str, where: str) -> T:
        """The object called `name`."""
        self.check(name, where)
        if name not in self._found and name in self._modules:
            import_module(self._modules[name])
        if name not in self._found:
            (point, *_) = entry_points(group=self.group, name=name)
            loaded = point.load()  # the object, or a module whose import registered it
            self._found.setdefault(name, loaded)
        return self._found[name]
