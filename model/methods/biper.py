"""`biper`: bits of a periodic function of the weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from arbonn.model.methods.base import Context, Method, register_method
from arbonn.model.methods.binarizers import l1
from arbonn.model.recipe import MethodConfig
from arbonn.model.surrogates import Binarizer, BiRealSign, sign

if TYPE_CHECKING:
    from arbonn.model.layers import BinaryLinear


@register_method("biper")
class BiPer(Method):
    """BiPer (CVPR 2024, arXiv 2404.01278). w: (C_out, ...), gain: (C_out,) learnable, from mean |w_c|.

    Forward   W_c = |gain_c| sign(sin(f w_c)): a bit flips at every multiple of pi/f. In stage 1, the first `stage_one` of
              training, W_c = |gain_c| sin(f w_c): real weights, binary activations. Evaluation and export always see the bits.
    Backward  dL/dw = |gain| f cos(f w) dL/dW; dL/dgain_c = sum(dL/dW * sign(sin(f w_c))), of the sine itself in stage 1.
    Extras    of the published code, off by default: `tau_reg` * mean sin^2(f w), summed over layers (.037 / .047 in its CIFAR-10
              stages); `normalise`: while training, activations divided by their deviation per sample before their sign.

    The published stages each have a schedule of their own; here they share one.   State  none beyond w and gain.
    Hardware  one bit per weight, that of the sine, not of w; the gain folds into the thresholds.
    """

    summary = "bits of a sine of the weights, so that a weight may flip at many places"
    paper = "BiPer, CVPR 2024, arXiv 2404.01278"

    class Config(MethodConfig):
        """`frequency` is f."""

        frequency: PositiveFloat = 20.0
        stage_one: Annotated[float, Field(ge=0, lt=1, description="share of training with real weights")] = 0.0
        tau_reg: NonNegativeFloat = 0.0
        normalise: bool = False

    def __init__(self, config: MethodConfig) -> None:
        super().__init__(config)
        if config.normalise:
            self.activation = normalised_sign

    def on_progress(self, t: float) -> None:
        for layer in self.layers:
            layer.binarizer.real = t < self.config.stage_one

    def prepare(self, model: nn.Module, domain_count: int, batch: int) -> None:
        from arbonn.model.layers import binary_layers

        self.layers = list(binary_layers(model).values())

    def binarizer(self, layer: BinaryLinear) -> Binarizer:
        return Sine(layer.weight, self.config.frequency)

    def loss_terms(self, context: Context) -> dict[str, Tensor]:
        if self.config.tau_reg == 0:
            return {}
        waves = [torch.sin(self.config.frequency * layer.weight).square().mean() for layer in self.layers]
        return {"periodic": self.config.tau_reg * torch.stack(waves).sum()}

    def measures(self) -> dict[str, float]:
        turns = torch.cat([layer.weight.detach().abs().flatten() for layer in self.layers]) * self.config.frequency / math.pi
        return {"beyond_first_turn": float((turns > 1).float().mean())}


class PeriodicSign(torch.autograd.Function):
    """Forward sign(sin(f w)); backward f cos(f w), the slope of the sine."""

    @staticmethod
    def forward(ctx, w: Tensor, f: float) -> Tensor:
        ctx.save_for_backward(w)
        ctx.f = f
        return sign(torch.sin(f * w))

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        (w,) = ctx.saved_tensors
        return grad * ctx.f * torch.cos(ctx.f * w), None


class Sine(nn.Module):
    """w -> |gain_c| sign(sin(f w)); while `real` and only where gradients are wanted, |gain_c| sin(f w)."""

    def __init__(self, w: Tensor, frequency: float) -> None:
        super().__init__()
        # Not called alpha: it is no magnitude of w, and the density measures would take it for one.
        self.gain = nn.Parameter(l1(w.detach()).clone())
        self.frequency, self.real = frequency, False

    def forward(self, w: Tensor) -> Tensor:
        wave = torch.sin(self.frequency * w) if self.real and torch.is_grad_enabled() else PeriodicSign.apply(w, self.frequency)
        return self.gain.abs().view(-1, *[1] * (w.dim() - 1)) * wave


def normalised_sign(x: Tensor) -> Tensor:
    """Bi-Real's sign of x / deviation of each sample's features: the bits are those of x. x: (N, ...)."""
    deviation = x.detach().flatten(1).std(1, unbiased=False).clamp(min=1e-5)
    return BiRealSign.apply(x / deviation.view(-1, *[1] * (x.dim() - 1)))
