"""Strict settings: TOML text in, a frozen pydantic model out, or one `RecipeError` that says what to type instead.

Used by recipes, method options, build targets and search spaces alike; it imports neither torch nor any hardware library.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from arbonn.errors import RecipeError


class Settings(BaseModel):
    """Base of every section of a recipe: unknown keys are errors, nothing is converted silently, values never change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_default=True, allow_inf_nan=False)


S = TypeVar("S", bound=BaseModel)


def nearest(word: object, allowed: Iterable[str]) -> str:
    """The line to print for a misspelt `word`: `did you mean ...?`, or nothing where no allowed word is close."""
    matches = difflib.get_close_matches(str(word).lower(), {name.lower(): name for name in allowed}, n=1)
    names = {name.lower(): name for name in allowed}
    return f"did you mean `{names[matches[0]]}`?" if matches else ""


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; a missing file or a syntax error (with its line and column) is a RecipeError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        beside = sorted(file.name for file in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        raise RecipeError(
            str(path), found="no such file", allowed=", ".join(beside) or "a TOML file", fix=nearest(path.name, beside)
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(str(path), found=f"cannot be read: {error}", allowed="a TOML file in UTF-8") from None
    except (ValueError, RecursionError) as error:  # a TOMLDecodeError is a ValueError; so are numbers of thousands of digits
        raise RecipeError(str(path), found=f"not TOML: {error}", allowed="TOML 1.0, for example `epochs = 40`") from None


def load_toml(path: Path, model: type[S], overrides: Sequence[str] = ()) -> S:
    """`path` with `overrides` ("key.path=value") applied, checked against `model`."""
    return parse(override(read_toml(path), overrides), model, str(path))


def override(data: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """A copy of `data` in which each "key.path=value" is set. The value is TOML; what is not TOML is taken as a bare string."""
    result = _copy(data)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        parts = [part.strip() for part in key.split(".")]
        if not equals or not all(parts):
            raise RecipeError("--set", found=f"`{assignment}`", allowed="KEY.PATH=VALUE", fix="for example --set train.epochs=10")
        table = result
        for depth, part in enumerate(parts[:-1], start=1):
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise RecipeError("--set", found=f"`{'.'.join(parts[:depth])}` is a value, not a section", allowed="KEY.PATH=VALUE")
        table[parts[-1]] = _toml_value(text.strip())
    return result


def parse(data: Any, model: type[S], where: str, prefix: tuple[str, ...] = ()) -> S:
    """`data` as a `model`, or a RecipeError about the first thing wrong. `prefix` is the key path of `data` in its file.

    `where` reaches nested validators as `info.context["where"]`, so a section that is checked by a class chosen at run time
    (a method's own options) reports the same file.
    """
    try:
        return model.model_validate(data, context={"where": where})
    except ValidationError as error:
        raise _explain(error, model, where, prefix) from None


def _explain(error: ValidationError, model: type[BaseModel], where: str, prefix: tuple[str, ...]) -> RecipeError:
    problems = error.errors(include_url=False)
    # An unknown key comes first: its misspelling is often why another key is missing.
    first = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    location = first["loc"]
    path = ".".join(map(str, prefix + location)) or "(top level)"
    keys = sorted(_fields(model, location[:-1]))
    context = first.get("ctx", {})
    if first["type"] == "extra_forbidden":
        found, allowed = f"unknown key `{location[-1]}`", ", ".join(keys) or "no keys here"
        fix = nearest(location[-1], keys)
    elif first["type"] == "missing":
        given = first["input"] if isinstance(first["input"], Mapping) else {}
        found, allowed, fix = "missing", _lower(model, location), f"add `{location[-1]} = ...`"
        if given:
            fix += f" beside `{next(iter(given))}`"
    else:
        options = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        found = _show(first["input"])
        allowed = ", ".join(options) if options else re.sub(r"^(Input|Value) should be (an? )?(valid )?|^Value error, ", "", first["msg"])
        fix = nearest(first["input"], options) if options else ""
    others = [".".join(map(str, prefix + p["loc"])) for p in problems if p is not first]
    if others:
        fix = (fix + "; " if fix else "") + "also wrong: " + ", ".join(others)
    return RecipeError(f"{where}: {path}", found=found, allowed=allowed, fix=fix)


def _fields(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Names of the keys allowed at `location`, found by walking the models' annotations."""
    for part in location:
        field = model.model_fields.get(str(part))
        if field is None:
            continue  # a list index or a union's tag
        nested = [
            kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type) and issubclass(kind, BaseModel)
        ]
        if not nested:
            return []
        model = nested[0]
    return list(model.model_fields)


def _lower(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """What the missing key means: the description of its field, else its type."""
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return ""
        model = field.annotation
    field = model.model_fields.get(str(location[-1]))
    if field is None:
        return ""
    return field.description or str(getattr(field.annotation, "__name__", field.annotation))


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _copy(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in data.items()}


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # `--set method.name=ste` without the quotes that a shell would eat
