"""sign as a bit knows it, and gradients to use in its place. Torch alone: methods and recipes load without Brevitas."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Binarizer = Callable[[Tensor], Tensor]
"""Latent weights (C_out, ...) -> effective weights W = alpha * b of the same shape, differentiable as the method wants."""


def sign(x: Tensor) -> Tensor:
    """+1 where x >= 0, else -1 (torch.sign would give 0 at 0, which no bit can hold)."""
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


class BiRealSign(torch.autograd.Function):
    """Forward sign(x); backward 2 - 2|x| on |x| < 1, else 0 (Bi-Real net, arXiv 1808.00278)."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return sign(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * (2 - 2 * x.abs()).clamp(min=0)
