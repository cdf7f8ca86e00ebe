"""From latent to effective weights: |alpha_c| * sign(w_c) with a learnable scale, scale * b + shift of two values, few signs and zeros."""

from __future__ import annotations

import math
from collections.abc import Callable
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
        return sign(w).mul_(_per_channel(alpha.abs(), w))

    @staticmethod
    def backward(ctx, g: Tensor) -> tuple[Tensor | None, ...]:
        w, alpha = ctx.saved_tensors
        dw = _per_channel(alpha.abs(), w) * g
        if ctx.clip is not None:
            dw.mul_(w.abs() <= ctx.clip)
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


class ClippedSign(torch.autograd.Function):
    """Forward sign(w); backward the identity on |w| <= 1, else 0."""

    @staticmethod
    def forward(ctx, w: Tensor) -> Tensor:
        ctx.save_for_backward(w)
        return sign(w)

    @staticmethod
    def backward(ctx, g: Tensor) -> Tensor:
        (w,) = ctx.saved_tensors
        return g * (w.abs() <= 1)


class TwoValues(nn.Module):
    """w -> scale * b + shift, two numbers a layer: `hi` = shift + scale where b = +1, `lo` = shift - scale where b = -1.

    b = sign(w), with `estimator`'s backward (None: clipped identity); with `fan_in`, only the largest so many of a filter are ones.
    While `constrained`, and always where no gradient is wanted (evaluation, export), shift = scale * q / 2^bits with an integer q.
    """

    def __init__(self, estimator: Callable[[Tensor], Tensor] | None, general: bool, bits: int, fan_in: int | None) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.shift = nn.Parameter(torch.zeros(()), requires_grad=general)
        self.estimator = estimator or ClippedSign.apply
        self.shift_bits, self.fan_in, self.constrained = bits, fan_in, False

    def forward(self, w: Tensor) -> Tensor:
        b = self.estimator(w)
        if self.fan_in is not None:
            b = b + (torch.where(self.bits(w), 1.0, -1.0) - b).detach()
        scale, shift = self.values()
        return scale * b + shift

    def values(self) -> tuple[Tensor, Tensor]:
        """(scale, shift) as they act now."""
        if not self.constrained and torch.is_grad_enabled():
            return self.scale, self.shift
        wanted = self.scale * self.quantised_shift() / 2**self.shift_bits
        return self.scale, self.shift + (wanted - self.shift).detach()

    @torch.no_grad()
    def quantised_shift(self) -> Tensor:
        """q, an integer in [-2^bits, 2^bits], as a float scalar."""
        one = 2**self.shift_bits
        return (self.shift / self.scale * one).nan_to_num(0.0).clamp(-one, one).round()

    @torch.no_grad()
    def bits(self, w: Tensor) -> Tensor:
        """b = +1, bool like w: the sign of W says nothing where both values are positive."""
        ones = w >= 0
        if self.fan_in is None:
            return ones
        rows = w.flatten(1)
        place = rows.argsort(dim=1, descending=True, stable=True).argsort(dim=1, stable=True)
        return ones & (place < self.fan_in).view_as(w)


class LargestSigns(nn.Module):
    """w -> alpha * sign(w) at the `fan_in` largest |w| of each filter (or all that there are), 0 elsewhere.

    alpha = 2^-round(log2(fan_in) / 2).
    """

    def __init__(self, fan_in: int) -> None:
        super().__init__()
        self.fan_in = fan_in
        self.scale = 2.0 ** -round(math.log2(fan_in) / 2)

    def forward(self, w: Tensor) -> Tensor:
        return Largest.apply(w, self.fan_in, self.scale)

    @torch.no_grad()
    def bits(self, w: Tensor) -> Tensor:
        """Where W is not 0, bool like w."""
        return self(w) != 0


class Largest(torch.autograd.Function):
    """Forward as `LargestSigns`; backward the identity on |w| <= 1, else 0."""

    @staticmethod
    def forward(ctx, w: Tensor, fan_in: int, scale: float) -> Tensor:
        ctx.save_for_backward(w)
        rows = w.flatten(1)
        chosen = rows.abs().topk(min(fan_in, rows.shape[1]), dim=1, sorted=False).indices
        return torch.zeros_like(rows).scatter_(1, chosen, sign(rows.gather(1, chosen)) * scale).view_as(w)

    @staticmethod
    def backward(ctx, g: Tensor) -> tuple[Tensor, None, None]:
        (w,) = ctx.saved_tensors
        return g * (w.abs() <= 1), None, None


def quantile_shift(w: Tensor, share: float) -> Tensor:
    """What to subtract from w so that at most int(share * n) of its n entries are >= 0, and exactly so many if none are equal."""
    values = w.detach().flatten().sort(descending=True).values
    first_negative = values[min(int(share * values.numel()), values.numel() - 1)]
    above = values[values > first_negative]
    # Halfway to the next larger value; above the largest there is none, so any step will do.
    gap = above[-1] - first_negative if above.numel() else first_negative.abs() + 1
    return first_negative + gap / 2


def best_values(w: Tensor, bits: Tensor) -> tuple[Tensor, Tensor]:
    """(scale, shift) with the least sum (w - scale * b - shift)^2: hi and lo are the means of w over the bits' two sets."""
    hi, lo = (w[chosen].mean() if bool(chosen.any()) else None for chosen in (bits, ~bits))
    hi, lo = (hi if hi is not None else -lo), (lo if lo is not None else -hi)  # an empty set fits any value: stay bipolar
    return (hi - lo) / 2, (hi + lo) / 2
