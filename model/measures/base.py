"""What a measure is: a small object that the training loop feeds, and that says in figures what it saw."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from arbonn.model.data import DataSet
from arbonn.model.layers import BinaryLayer, binary_layers
from arbonn.model.methods.base import Method
from arbonn.model.recipe import MEASURES, MeasuresConfig, TrainRecipe

register_measure = MEASURES.register


@dataclass(frozen=True)
class Scene:
    """What a measure may look at: the network that trains, its method, the images, and the recipe of the run."""

    network: nn.Module
    method: Method
    data: DataSet
    recipe: TrainRecipe
    device: torch.device
    layers: dict[str, BinaryLayer] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", binary_layers(self.network))

    @property
    def config(self) -> MeasuresConfig:
        return self.recipe.measures


class Measure:
    """Fed by the loop: `restart` before an epoch's first step, `update` after each step, `epoch` at its end, `final` once.

    `update` never asks the device for a number: it adds up tensors there, which `epoch` reads. A figure over all binary layers has a
    plain name, that of one layer `NAME/LAYER`. What an epoch has gathered so far is in `state_dict`, so a resumed epoch ends alike.
    """

    gathered: ClassVar[tuple[str, ...]] = ()  # attributes that make up the state

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.restart()

    def restart(self) -> None:
        """A new epoch begins."""

    def update(self) -> None:
        """After each step; gradients are those that the optimizer stepped on."""

    def epoch(self) -> dict[str, float]:
        """Figures of the epoch that ended."""
        return {}

    def final(self) -> dict[str, float]:
        """Figures of the finished network, in evaluation mode, with the weights that are exported."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {name: _own(getattr(self, name)) for name in self.gathered}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, _own(value))


def _own(value: Any) -> Any:
    """A copy of a dictionary; the tensors in it are replaced by `update`, never written to."""
    return dict(value) if isinstance(value, dict) else value


class Measures:
    """All measures that a recipe names, as one."""

    def __init__(self, scene: Scene) -> None:
        names = dict.fromkeys(scene.config.names)  # each once, in the order of the recipe
        self.measures: dict[str, Measure] = {name: MEASURES.get(name, "measures.names")(scene) for name in names}

    def restart(self) -> None:
        for measure in self.measures.values():
            measure.restart()

    def update(self) -> None:
        for measure in self.measures.values():
            measure.update()

    def epoch(self) -> dict[str, float]:
        return {name: value for measure in self.measures.values() for name, value in measure.epoch().items()}

    def final(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for measure in self.measures.values():
            self._evaluation_mode(measure)
            found |= measure.final()
        return found

    def state_dict(self) -> dict[str, Any]:
        return {name: measure.state_dict() for name, measure in self.measures.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, measure in self.measures.items():
            measure.load_state_dict(state[name])

    @staticmethod
    def _evaluation_mode(measure: Measure) -> None:
        measure.scene.network.eval()


def by_layer(name: str, parts: dict[str, Tensor], wholes: dict[str, int] | dict[str, Tensor]) -> dict[str, float]:
    """`name/LAYER`, part / whole of each layer, and `name`, the sum of parts / the sum of wholes; read from the device at once."""
    if not parts:
        return {}
    numbers = torch.stack(
        [*parts.values(), *(torch.as_tensor(wholes[layer], device=part.device) for layer, part in parts.items())]
    ).tolist()
    tops, bottoms = numbers[: len(parts)], numbers[len(parts) :]
    whole = sum(tops) / (sum(bottoms) or 1)
    return {name: whole} | {f"{name}/{layer}": top / (bottom or 1) for layer, top, bottom in zip(parts, tops, bottoms, strict=True)}
