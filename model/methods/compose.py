"""What composes with what: the table, and the one place that refuses a pair by name. Imports no torch: a recipe is checked early.

A recipe's [method] is a chain: wrappers (losses, second passes, averages, stages) around exactly one weight binarizer.

    sam(swa(rbonn))     [method] name = "sam"   [method.base] name = "swa"   [method.base.base] name = "rbonn"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from arbonn.errors import RecipeError


@dataclass(frozen=True)
class Refusal:
    """`outer`, anywhere around `inner`, makes no sense where `when` holds of the inner one's options."""

    outer: str
    inner: str
    reason: str
    fix: str
    when: Callable[[Any], bool] = lambda options: True


REFUSED = (
    Refusal("sam", "arbonn", "arbonn perturbs the effective weights itself", "leave sam out: arbonn's `rho` is that perturbation"),
    Refusal("sam", "biper", "biper's stage 1 has no bits to perturb", "stage_one = 0", lambda options: options.stage_one > 0),
    Refusal("kd", "groupdro", "kd's loss takes the place of the domains' losses", "put groupdro around kd"),
    Refusal("two-step", "biper", "biper's stage 1 has real weights of its own, sin(f w)", "leave two-step out and set biper's `stage_one`"),
)
"""Any other wrapper goes around any other method, once. Two weight binarizers never compose: a layer has one set of bits."""


def check(method: Any, network: Any, where: str) -> None:
    """Raises one RecipeError for the first illegal pair of a recipe's [method], or of it and its [network]."""
    names = list(chain(method))
    for place, (outer, path) in enumerate(names):
        for inner, inner_path in names[place + 1 :]:
            reason = _refused(outer, inner)
            if reason is not None:
                _refuse(where, f"{inner_path}.name", outer.name, inner.name, *reason)
        if outer.name == "arbonn" and getattr(outer, "domain_norm", False) and network.block == "nf":
            _refuse(
                where,
                f"{path}.domain_norm",
                "arbonn",
                "block = nf",
                "the domain module is a norm, nf blocks have none",
                "domain_norm = false",
            )


def chain(method: Any, path: str = "method") -> Iterator[tuple[Any, str]]:
    """(options, key path) of every method of a recipe, from the outermost to the binarizer."""
    while method is not None:
        yield method, path
        method, path = getattr(method, "base", None), f"{path}.base"


def two_binarizers(outer: str, inner: str, where: str, path: str) -> RecipeError:
    """A [method.base] below a method that holds none, as `rbonn` and `rebnn` together."""
    return _error(
        where,
        f"{path}.base",
        outer,
        inner,
        "both decide the bits of a layer" if outer != inner else "it is one method already",
        f"choose one of them, or put a wrapper around `{outer}`",
    )


def _refused(outer: Any, inner: Any) -> tuple[str, str] | None:
    if outer.name == inner.name:
        return "once is enough", f"leave one `{outer.name}` out"
    for entry in REFUSED:
        if (entry.outer, entry.inner) == (outer.name, inner.name) and entry.when(inner):
            return entry.reason, entry.fix
    return None


def _refuse(where: str, key: str, outer: str, inner: str, reason: str, fix: str) -> None:
    raise _error(where, key, outer, inner, reason, fix)


def _error(where: str, key: str, outer: str, inner: str, reason: str, fix: str) -> RecipeError:
    allowed = "wrappers around one weight binarizer, each wrapper once"
    return RecipeError(f"{where}: {key}", found=f"`{outer}` and `{inner}` do not compose: {reason}", allowed=allowed, fix=fix)
