"""A training run on disk: everything its next step depends on, written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from arbonn.errors import TrainError
from arbonn.files import replacing

SCHEMA = 3


def save_checkpoint(path: Path, recipe: Any, network: Any, method: Any, optimizer: Any, meter: Any, run: Any) -> None:
    """Replaces `path`; a kill at any moment leaves the old file or the new one."""
    state = {
        "schema": SCHEMA,
        "recipe": recipe.training(),
        "network": network.state_dict(),
        "method": method.state_dict(),
        "optimizer": optimizer.state_dict(),
        "meter": meter.state_dict(),
        "run": dict(vars(run)),
        "random": torch.get_rng_state(),  # nothing of ours draws from it while training; a method from outside may
    }
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path, recipe: Any, network: Any, method: Any, optimizer: Any, meter: Any, run: Any, device: torch.device) -> None:
    """Puts everything back as it was when `path` was written; a checkpoint of another recipe is a TrainError."""
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        schema = state["schema"]
    except Exception as error:
        raise TrainError(str(path), found=f"no checkpoint of ours: {error}", allowed="what `arbonn train` wrote", fix=_fix(path)) from None
    if schema != SCHEMA:
        raise TrainError(str(path), found=f"checkpoint schema {schema}", allowed=f"schema {SCHEMA}", fix=_fix(path))
    differences = _differences(state["recipe"], recipe.training())
    if differences:
        raise TrainError(
            str(path),
            found="a checkpoint of another recipe: " + "; ".join(differences),
            allowed="the recipe it was started with",
            fix=_fix(path),
        )
    try:
        network.load_state_dict(state["network"])
        method.load_state_dict(state["method"])
        optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, ValueError, KeyError) as error:  # what torch raises for other names, shapes and groups
        told = " ".join(str(error).split())
        raise TrainError(
            str(path),
            found=f"weights that do not fit this network or method: {told[:200]}",
            allowed="what this version of arbonn wrote",
            fix=_fix(path),
        ) from None
    meter.load_state_dict(state["meter"])
    vars(run).update(state["run"])
    torch.set_rng_state(state["random"].cpu())


def _fix(path: Path) -> str:
    return f"train in another folder, or remove {path.name} to start over"


def _differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """`key: old there, new here` for every leaf that differs."""
    found: list[str] = []
    for key in sorted({*old, *new}):
        there, here = old.get(key, "nothing"), new.get(key, "nothing")
        if isinstance(there, dict) and isinstance(here, dict):
            found += _differences(there, here, f"{prefix}{key}.")
        elif there != here:
            found.append(f"{prefix}{key} is {there} there, {here} here")
    return found
