"""sign as a bit knows it, and gradients to use in its place. Torch alone: methods and recipes load without Brevitas."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Binarizer = Callable[[Tensor], Tensor]
"""Latent weights (C_out, ...) -> effective weights W = alpha * b of the same shape, differentiable as the method wants."""


def sign(x: Tensor) -> Tensor:
    """+1 where x >= 0, else -1 (torch.sign would give 0 at 0, which no bit can hold)."""
    return x.detach().sign().add_(0.5).sign_()  # 15 times faster on a CPU than torch.where with two scalars


class BiRealSign(torch.autograd.Function):
    """Forward sign(x); backward 2 - 2|x| on |x| < 1, else 0 (Bi-Real net, arXiv 1808.00278)."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return sign(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return x.abs().mul_(-2).add_(2).clamp_(min=0).mul_(grad)


class TanhSign(torch.autograd.Function):
    """Forward sign(x); backward k t (1 - tanh^2(t x)) (IR-Net's error decay estimator, arXiv 1909.10788).

    1 - tanh^2(z) = 4 s (1 - s) with s = sigmoid(2 z), which is six times faster on a CPU than tanh.
    """

    @staticmethod
    def forward(ctx, x: Tensor, t: Tensor, k: Tensor) -> Tensor:
        ctx.save_for_backward(x, t, k)
        return sign(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, t, k = ctx.saved_tensors
        return torch.ops.aten.sigmoid_backward(grad, torch.sigmoid_(x * (2 * t))).mul_(4 * k * t), None, None


class AnnealedSign:
    """`TanhSign` that sharpens while training: t from 0.1 to 10, log-spaced over the progress, k = max(1/t, 1).

    The papers step t once an epoch; here it moves with each step. No state: t is a function of the progress alone.
    """

    def __init__(self) -> None:
        # Scalar tensors, not floats: a compiled step would be compiled anew for every t.
        self.t, self.k = torch.tensor(0.1), torch.tensor(10.0)

    def on_progress(self, progress: float) -> None:
        t = 10.0 ** (2 * progress - 1)
        self.t.fill_(t)
        self.k.fill_(max(1 / t, 1.0))

    def __call__(self, x: Tensor) -> Tensor:
        return TanhSign.apply(x, self.t, self.k)
