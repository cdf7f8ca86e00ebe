"""Effective weights W = |alpha_c| * sign(w_c) with a learnable scale, and the gradients that the papers and their codes give it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from arbonn.model.surrogates import sign

ScaleGrad = Literal["true", "authors"]


class ScaledSign(torch.autograd.Function):
    """Forward |alpha_c| * sign(w). w: (C_out, ...), alpha: (C_out,); W: like w.

    Backward with g = dL/dW:  dw = |alpha| * g, on |w| <= clip only if a clip is given;
    d|alpha|_c = sum(g * b) ("true") or sum(g * w) ("authors": what the code of RBONN and ReBNN computes).
    """

    @staticmethod
    def forward(ctx, w: Tensor, alpha: Tensor, clip: float | None, scale_grad: ScaleGrad) -> Tensor:
        ctx.save_for_backward(w, alpha)
        ctx.clip, ctx.scale_grad = clip, scale_grad
        return _per_channel(alpha.abs(), w) * sign(w)

    @staticmethod
    def backward(ctx, g: Tensor) -> tuple[Tensor | None, ...]:
        w, alpha = ctx.saved_tensors
        dw = _per_channel(alpha.abs(), w) * g
        if ctx.clip is not None:
            dw = dw * (w.abs() <= ctx.clip)
        along = sign(w) if ctx.scale_grad == "true" else w
        return dw, (g * along).flatten(1).sum(1) * sign(alpha), None, None


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    """(C,) -> (C, 1, ...), to multiply `like`."""
    return values.view(-1, *[1] * (like.dim() - 1))


class LearnableScale(nn.Module):
    """w -> |alpha| * sign(w), alpha learnable, started at mean |w_c|; see `ScaledSign`."""

    def __init__(self, w: Tensor, clip: float | None = 1.0, scale_grad: ScaleGrad = "true") -> None:
        super().__init__()
        self.alpha = nn.Parameter(l1(w.detach()).clone())
        self.clip, self.scale_grad = clip, scale_grad

    def forward(self, w: Tensor) -> Tensor:
        return ScaledSign.apply(w, self.alpha, self.clip, self.scale_grad)


def l1(w: Tensor) -> Tensor:
    """mean |w_c| over each output channel's filter; (C_out, ...) -> (C_out,)."""
    return w.abs().flatten(1).mean(1)
