"""Methods around a method: each hands every hook to its `base` and changes only what it is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, SerializeAsAny, ValidationInfo, field_validator
from torch import Tensor, nn

from arbonn.model.methods.base import Context, Lessons, Method
from arbonn.model.recipe import METHODS, MethodConfig, method_config
from arbonn.model.surrogates import Binarizer

if TYPE_CHECKING:
    from arbonn.model.layers import BinaryLinear


class WrapperConfig(MethodConfig):
    """[method] of a wrapper; [method.base] is the method inside, with its own options."""

    base: SerializeAsAny[MethodConfig] = Field(description="the method inside")

    @field_validator("base", mode="before")
    @classmethod
    def _base_options(cls, value: Any, info: ValidationInfo) -> Any:
        return method_config(value, (info.context or {}).get("where", "recipe"), ("base",)) if isinstance(value, Mapping) else value


class Wrapper(Method):
    """Every hook is the base's. The base's state is in this one's state_dict, under `base.`."""

    Config: ClassVar[type[MethodConfig]] = WrapperConfig
    role = "wrapper"

    def __init__(self, config: MethodConfig) -> None:
        super().__init__(config)
        self.base: Method = METHODS.get(config.base.name, "method.base.name")(config.base)

    @property
    def activation(self) -> Callable[[Tensor], Tensor]:  # type: ignore[override]
        return self.base.activation

    def prepare(self, model: nn.Module, domain_count: int, batch: int) -> None:
        self.base.prepare(model, domain_count, batch)

    def needs_domains(self) -> bool:
        return self.base.needs_domains()

    def binarizer(self, layer: BinaryLinear) -> Binarizer:
        return self.base.binarizer(layer)

    def norm(self, layer: BinaryLinear) -> nn.Module:
        return self.base.norm(layer)

    def teach(self, lessons: Lessons) -> None:
        self.base.teach(lessons)

    def param_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        return self.base.param_groups(model)

    def sampler(self, domains: npt.NDArray[np.int64], order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return self.base.sampler(domains, order)

    def on_progress(self, t: float) -> None:
        self.base.on_progress(t)

    def task_loss(self, context: Context, logits: Tensor) -> Tensor:
        return self.base.task_loss(context, logits)

    def loss_terms(self, context: Context) -> dict[str, Tensor]:
        return self.base.loss_terms(context)

    def step(self, context: Context, closure: Callable[[], Tensor]) -> Tensor:
        return self.base.step(context, closure)

    def after_step(self, context: Context) -> None:
        self.base.after_step(context)

    def finish(self, model: nn.Module, inputs: Tensor) -> bool:
        return self.base.finish(model, inputs)

    def measures(self) -> dict[str, float]:
        return self.base.measures()
