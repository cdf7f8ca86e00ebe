"""What every stage gives back, as data: units in the names, fractions in [0, 1] for accuracies, JSON by `as_json`.

A result lies beside its files in the store as `result.json`. Paths in it are relative to `folder`, which is where the reader found it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = 1


class Result(BaseModel):
    """Base of all results; `schema` rises when a key changes its meaning or goes away."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_number: int = Field(SCHEMA, alias="schema")

    def as_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return self.model_dump(mode="json", by_alias=True)


class StageResult(Result):
    """`seconds` is what making it took, also when `cached` says that it was found in the store; `versions` of the tools that made it."""

    versions: dict[str, str | None] = {}
    seconds: float = 0.0
    cached: bool = False
    folder: str = ""

    def file(self, name: str) -> Path:
        """The path of one of its files."""
        return Path(self.folder) / name


class TrainResult(StageResult):
    """`float_accuracy`: the trained network on the test images, before it is lowered; `val_accuracy`: what the epoch was chosen by."""

    method: str
    seed: int
    float_accuracy: float
    val_accuracy: float
    epochs: int
    best_epoch: int
    binary_weights: int
    measures: dict[str, float]
    model: str = "model.onnx"
    test_codes: str = "test_codes.npy"
    test_labels: str = "test_labels.npy"


def read(path: Path) -> dict[str, Any]:
    """The JSON object in a result's file."""
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    return data
