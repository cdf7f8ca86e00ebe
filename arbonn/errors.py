"""The one shape of every message about bad input: where, what was found, what is allowed, what to do.

Every stage raises one of these; the command line prints it and exits with its `exit_code` (2: bad input or a missing tool; 1: a
difference or a missed limit). Anything else that escapes a stage is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

from typing import NamedTuple


class ArbonnError(Exception):
    """Base of all errors that a user can mend. `where` names the file, node, key or tool."""

    exit_code = 2

    def __init__(self, where: str, *, found: str, allowed: str = "", fix: str = "") -> None:
        self.where, self.found, self.allowed, self.fix = where, found, allowed, fix
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [f"{type(self).__name__}: {self.where}: {self.found}"]
        lines += [f"  {label:<8} {text}" for label, text in (("allowed", self.allowed), ("fix", self.fix)) if text]
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions are rebuilt from `args`, which holds the finished text: without this, crossing a process loses the fields.
        return (_rebuild, (type(self), self.where, self.found, self.allowed, self.fix), self.__dict__)


def _rebuild(kind: type[ArbonnError], where: str, found: str, allowed: str, fix: str) -> ArbonnError:
    return kind(where, found=found, allowed=allowed, fix=fix)


class InputError(ArbonnError):
    """A file or a value on the command line that cannot be used."""


class RecipeError(ArbonnError):
    """A recipe with a wrong key or value."""


class DataError(ArbonnError):
    """A data set that is missing, broken or does not fit the network or the input contract."""


class TrainError(ArbonnError):
    """Training that cannot start or cannot go on."""


class Problem(NamedTuple):
    """One node of a network that does not lower: its name, its operator, why not, and what would help."""

    node: str
    operator: str
    why: str
    fix: str


class LoweringError(ArbonnError):
    """A network, or a node of it, that does not lower. `problems` has one entry a node where `found` lists several."""

    problems: tuple[Problem, ...] = ()


class GraphError(ArbonnError):
    """A dataflow graph that is not legal, or a file that holds none."""


class FoldingError(ArbonnError):
    """A folding that does not divide."""


class ToolError(ArbonnError):
    """A tool that is missing or failed."""


class FitError(ArbonnError):
    """A network that does not fit its board, or misses its clock or rate."""

    exit_code = 1


class CheckError(ArbonnError):
    """A check that could not be completed (a difference is a result, not an error)."""
