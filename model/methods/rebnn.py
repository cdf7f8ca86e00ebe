"""`rebnn`: resilient binary weights, held back from flipping by a reconstruction weight tied to the gradient's size."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from arbonn.model.methods.base import Context, Method, averaged, register_method
from arbonn.model.methods.binarizers import LearnableScale, ScaleGrad
from arbonn.model.recipe import MethodConfig
from arbonn.model.surrogates import Binarizer, sign

if TYPE_CHECKING:
    from arbonn.model.layers import BinaryLinear

GammaRule = Literal["adaptive", "adaptive-clamped", "const", "max"]
LOW, HIGH = 1e-5, 2e-4  # the paper's bounds; the code's swapped comparisons always return the upper one


@register_method("rebnn")
class ReBnn(Method):
    """ReBNN (AAAI 2023, arXiv 2302.00956). w: (C_out, ...), alpha, gamma: (C_out,).

    Why       weights near 0 flip back and forth late in training.
    Forward   W_c = |alpha_c| sign(w_c), alpha learnable from mean |w_c|.
    Backward  dw_c = alpha_c g_c [|w| <= 1] + gamma_c (w_c - alpha_c b_c),
              dalpha_c = sum(g_c b_c) - gamma_c sum((w_c - alpha_c b_c) b_c): the gradients of 1/2 sum_c gamma_c ||w_c - alpha_c b_c||^2,
              added after the backward, since gamma needs g; nothing through gamma.
    gamma     "adaptive" (paper): flip_c max_j |g_cj|, flip_c = share of the channel's signs that the last step changed;
              "adaptive-clamped": that in [1e-5, 2e-4]; "const": 2e-4, what the released code computes whatever it is given;
              "max": max_j |g_cj|, which stops every flip: a bound for the theorem, no way to train.
    Theorem   SGD without momentum, lr gamma < 1: a weight at +1 flips only if g > gamma, at -1 only if g < -gamma.

    State  the bits before the last step, so that the flips are the same after a resume.
    Hardware  one bit per weight; alpha folds into the thresholds.
    """

    summary = "resilient weights: a reconstruction weight of gradient size against late oscillation"
    paper = "ReBNN, AAAI 2023, arXiv 2302.00956"

    class Config(MethodConfig):
        """`gamma` "const" is what published figures were made with."""

        gamma: GammaRule = "adaptive"
        weight_clip: bool = True
        scale_grad: ScaleGrad = "true"

    def binarizer(self, layer: BinaryLinear) -> Binarizer:
        return LearnableScale(layer.weight, 1.0 if self.config.weight_clip else None, self.config.scale_grad)

    def prepare(self, model: nn.Module, domain_count: int, batch: int) -> None:
        from arbonn.model.layers import binary_layers

        self.layers = list(binary_layers(model).values())
        for number, layer in enumerate(self.layers):
            self.register_buffer(f"before{number}", layer.weight.detach() >= 0)
        self.last = {"gamma": torch.zeros(1), "flip_share": torch.zeros(1)}

    def step(self, context: Context, closure: Callable[[], Tensor]) -> Tensor:
        for layer in self.layers:
            layer.quantizer.record, layer.quantizer.grad = True, None
        loss = closure()
        gammas, shares = [], []
        for number, layer in enumerate(self.layers):
            before = getattr(self, f"before{number}")
            bits = layer.weight.detach() >= 0
            share = (bits != before).flatten(1).float().mean(1)
            gamma = gamma_of(self.config.gamma, share, averaged(layer.quantizer.grad))
            hold_back(layer.weight, layer.binarizer.alpha, gamma)
            before.copy_(bits)
            layer.quantizer.record, layer.quantizer.grad = False, None
            gammas.append(gamma)
            shares.append(share)
        self.last = {"gamma": torch.cat(gammas), "flip_share": torch.cat(shares)}
        context.optimizer.step()
        return loss

    def measures(self) -> dict[str, float]:
        return {name: float(value.mean()) for name, value in self.last.items()}


def gamma_of(rule: GammaRule, share: Tensor, g: Tensor) -> Tensor:
    """One gamma a channel. share: flips of the last step, (C_out,); g = dL/dW: (C_out, ...)."""
    largest = g.abs().flatten(1).amax(1)
    if rule == "const":
        return torch.full_like(share, HIGH)
    if rule == "max":
        return largest
    gamma = share * largest
    return gamma.clamp(LOW, HIGH) if rule == "adaptive-clamped" else gamma


@torch.no_grad()
def hold_back(w: Tensor, alpha: Tensor, gamma: Tensor) -> None:
    """Adds the gradients of 1/2 sum_c gamma_c ||w_c - |alpha_c| b_c||^2 to those of w and, unless it is fixed, alpha."""
    column = (-1, *[1] * (w.dim() - 1))
    b = sign(w)
    gap = w - alpha.abs().view(column) * b
    w.grad.add_(gamma.view(column) * gap)
    if alpha.grad is not None:
        alpha.grad.sub_(gamma * (gap * b).flatten(1).sum(1) * sign(alpha))
