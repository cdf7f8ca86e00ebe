"""A scene of every kind: a net by a recipe, untrained, on the digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from arbonn.model.batches import load
from arbonn.model.measures.base import Scene
from arbonn.model.train import build


@pytest.fixture
def scene(recipe) -> Callable[..., Scene]:
    """scene(method={...}, measures={...}): on the CPU, in evaluation mode."""

    def make(**sections: Any) -> Scene:
        wanted = recipe(**sections)
        torch.manual_seed(wanted.seed)
        data = load(wanted)
        method, network = build(wanted, data)
        return Scene(network.eval(), method, data, wanted, torch.device("cpu"))

    return make
