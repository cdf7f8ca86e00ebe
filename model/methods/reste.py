"""`reste`: the rectified straight-through estimator, a root whose order rises while training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from arbonn.model.methods.base import Method, register_method
from arbonn.model.recipe import MethodConfig
from arbonn.model.surrogates import Binarizer, sign

if TYPE_CHECKING:
    from arbonn.model.layers import BinaryLinear

FLOOR, REACH = 0.1, 1.5  # below FLOOR the root's slope is held, beyond REACH there is none


@register_method("reste")
class ReSte(Method):
    """ReSTE (ICCV 2023, arXiv 2308.06689), for weights and activations.

    Forward   W = s sign(w), s = mean |w| of the whole layer, detached.
    Backward  of sign(x) |x|^(1/o): (1/o) |x|^(1/o - 1) on 0.1 < |x| <= 1.5, 0.1^(1/o - 1) on |x| <= 0.1, 0 beyond 1.5;
              o = 1 + 2 (1 - cos(pi/2 t)), t the progress, so o = 1 (STE on |x| <= 1.5) to 3. The papers step o once an epoch.
    Measure   `share_above`: share of weights with |w| > 0.1; on the others the estimator is a mere gain.
    State     none.   Hardware  one bit per weight, one scale a layer, in the thresholds.
    """

    summary = "rectified straight-through estimator: backward of a power function of rising order"
    paper = "ReSTE, ICCV 2023, arXiv 2308.06689"

    def __init__(self, config: MethodConfig) -> None:
        super().__init__(config)
        self.activation = PowerEstimator()

    def on_progress(self, t: float) -> None:
        self.activation.on_progress(t)

    def binarizer(self, layer: BinaryLinear) -> Binarizer:
        estimator = self.activation

        def effective_weight(w: Tensor) -> Tensor:
            return w.detach().abs().mean() * estimator(w)

        return effective_weight

    def prepare(self, model: nn.Module, domain_count: int, batch: int) -> None:
        from arbonn.model.layers import binary_layers

        self.layers = list(binary_layers(model).values())

    def measures(self) -> dict[str, float]:
        above = torch.cat([(layer.weight.detach().abs() > FLOOR).flatten() for layer in self.layers])
        return {"share_above": float(above.float().mean())}


class PowerSign(torch.autograd.Function):
    """Forward sign(x); backward the slope of sign(x) |x|^(1/o), held below FLOOR and cut beyond REACH."""

    @staticmethod
    def forward(ctx, x: Tensor, o: Tensor) -> Tensor:
        ctx.save_for_backward(x, o)
        return sign(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, o = ctx.saved_tensors
        size, power = x.abs(), 1 / o - 1
        slope = torch.where(size > FLOOR, size.clamp(min=FLOOR).pow(power) / o, FLOOR**power)
        return grad * slope * (size <= REACH), None


class PowerEstimator:
    """`PowerSign` whose order follows the progress t in [0, 1]."""

    def __init__(self) -> None:
        self.o = torch.tensor(1.0)  # no float: a compiled step would be compiled anew for every order

    def on_progress(self, t: float) -> None:
        self.o.fill_(1 + 2 * (1 - math.cos(math.pi / 2 * t)))

    def __call__(self, x: Tensor) -> Tensor:
        return PowerSign.apply(x, self.o)
