"""What a norm and a loss take from a sample's pixels, each in the fewest passes over the map and with its gradient written out."""

from __future__ import annotations

import torch
from torch import Tensor


class Moments(torch.autograd.Function):
    """A sample's own: x (N, C, P) -> x less its mean over the pixels, that mean and the biased variance, (N, C) each."""

    @staticmethod
    def forward(ctx, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean = x.mean(2)
        centred = x - mean[..., None]
        ctx.save_for_backward(centred)
        return centred, mean, torch.linalg.vector_norm(centred, dim=2).square() / x.shape[2]

    @staticmethod
    def backward(ctx, of_centred: Tensor, of_mean: Tensor, of_variance: Tensor) -> Tensor:
        (centred,) = ctx.saved_tensors
        pixels = centred.shape[2]
        slope, constant = of_variance * (2 / pixels), of_mean / pixels - of_centred.mean(2)
        return (centred * slope[..., None]).add_(constant[..., None]).add_(of_centred)


class Affine(torch.autograd.Function):
    """x (N, C, P), scale and shift (N, C) -> x scale + shift: two passes over x, and three back."""

    @staticmethod
    def forward(ctx, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        ctx.save_for_backward(x, scale)
        return (x * scale[..., None]).add_(shift[..., None])

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, scale = ctx.saved_tensors
        return grad * scale[..., None], (grad * x).sum(2), grad.sum(2)


class FiringRate(torch.autograd.Function):
    """The mean of tanh(k x) over the pixels, x (N, C, P) -> (N, C); tanh(z) = 2 sigmoid(2 z) - 1, which is far faster on a CPU."""

    @staticmethod
    def forward(ctx, x: Tensor, k: float) -> Tensor:
        half = torch.sigmoid_(x * (2 * k))
        ctx.save_for_backward(half)
        ctx.k = k
        return half.mean(2).mul_(2).sub_(1)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        (half,) = ctx.saved_tensors
        return torch.addcmul(half, half, half, value=-1).mul_((grad * (4 * ctx.k / half.shape[2]))[..., None]), None
