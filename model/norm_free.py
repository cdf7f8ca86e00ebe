"""The norm-free block of A&B BNN (CVPR 2024, arXiv 2403.03739): no BatchNorm, so that a layer's scale has a gradient of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from arbonn.model.layers import per_channel

DAMPING = 0.25
"""y = QPReLU(DAMPING * (x W^T) + m1) + m2: keeps the variance of a chain near DAMPING^2 where W has 1 / sqrt(fan_in) entries."""


class QuantizedPRelu(nn.Module):
    """y = prelu(DAMPING * x + m1) + m2 with a slope that is a power of two: a shift. x: (N, features, ...); m1, m2, p: (features,).

    slope_c = 2^round(p_c), p_c from -3, straight-through. In hardware all of it is part of a threshold.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.m1, self.m2 = nn.Parameter(torch.zeros(features)), nn.Parameter(torch.zeros(features))
        self.p = nn.Parameter(torch.full((features,), -3.0))

    def forward(self, x: Tensor) -> Tensor:
        power = self.p + (self.p.round() - self.p).detach()
        return nn.functional.prelu(DAMPING * x + per_channel(self.m1, x), 2.0**power) + per_channel(self.m2, x)


class Damped(nn.Module):
    """y = DAMPING * x + bias: the end of a norm-free chain. x: (N, features, ...)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        return DAMPING * x + per_channel(self.bias, x)


class Sharpened:
    """The surrogate of sign(s * a), s = 1 / sqrt(expected variance): alters the backward only, since s > 0."""

    def __init__(self, surrogate: Callable[[Tensor], Tensor], variance: float) -> None:
        self.surrogate, self.s = surrogate, variance**-0.5

    def __call__(self, a: Tensor) -> Tensor:
        return self.surrogate(self.s * a)
