"""What a norm and a loss take from a sample's pixels, each in the fewest passes over the map and with its gradient written out."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Coefficients = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Standardised(torch.autograd.Function):
    """A map less its own mean, scaled and shifted by what all samples' moments say: x (N, C, P) -> (x - mean) scale + shift.

    (scale, shift) = coefficients(mean, variance), all (N, C), from each sample's mean and biased variance over its pixels; any
    differentiable function, in which `parameters` act too. Its gradient is autograd's; that of the map takes five passes.
    """

    @staticmethod
    def forward(ctx, x: Tensor, coefficients: Coefficients, *parameters: Tensor) -> Tensor:
        mean, variance, centred = moments(x)
        with torch.enable_grad():
            ctx.inner = mean.requires_grad_(), variance.requires_grad_()
            ctx.outer = scale, shift = coefficients(mean, variance)
        ctx.save_for_backward(centred, *parameters)
        return (centred * scale.detach()[..., None]).add_(shift.detach()[..., None])

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        centred, *parameters = ctx.saved_tensors
        buffer = grad * centred  # new memory costs more than a pass over old memory
        of_scale, of_shift = buffer.sum(2), grad.sum(2)
        wanted = (*ctx.inner, *parameters)
        of_mean, of_variance, *rest = torch.autograd.grad(ctx.outer, wanted, (of_scale, of_shift), retain_graph=True)
        scale, pixels = ctx.outer[0].detach(), centred.shape[2]
        torch.mul(grad, scale[..., None], out=buffer)
        buffer.addcmul_(centred, (of_variance * (2 / pixels))[..., None])
        return buffer.add_(((of_mean - of_shift * scale) / pixels)[..., None]), None, *rest


def moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each sample's mean and biased variance over its pixels, and x less that mean: (N, C, P) -> (N, C), (N, C), (N, C, P)."""
    mean = x.mean(2)
    centred = x - mean[..., None]
    return mean, torch.linalg.vector_norm(centred, dim=2).square() / x.shape[2], centred


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
