"""Residual blocks whose shortcuts are streams of few-bit integers: both branches on one grid, so their sum is a sum of integers."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from arbonn.model.layers import BinaryConv2d, Quantizer, SignActivation, injector, per_channel
from arbonn.model.methods.base import Method

with warnings.catch_warnings():
    # see layers.py: Brevitas warns about its own parts at import
    warnings.simplefilter("ignore")
    from brevitas.nn import QuantIdentity
    from brevitas.proxy import ActQuantProxyFromInjector


class GridQuantizer(Quantizer):
    """clamp(round(x / scale), -2^(bits - 1), 2^(bits - 1) - 1) * scale, scale = 2^(2 - bits), so from -2 to nearly 2.

    Backward: the identity inside, 0 outside. The scale is a power of two: grid, sums and means over 2x2 are exact in float32.
    """

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.low, self.high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        self.register_buffer("scale", torch.tensor(2.0 ** (2 - bits)), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        inside = (x / self.scale).clamp(self.low, self.high)
        value = (inside + (inside.round() - inside).detach()) * self.scale
        return value, self.scale, self.zero_point, self.bit_width


class Stream(nn.Module):
    """Puts x on the grid that all shortcuts of a network share. Exports as Quant."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.quant = QuantIdentity(act_quant=injector(ActQuantProxyFromInjector, GridQuantizer(bits), narrow=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.quant(x)


class RPRelu(nn.Module):
    """y = prelu(x - before_c, slope_c) + after_c (RPReLU, ReActNet, arXiv 2003.03488). x: (N, channels, ...)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before, self.after = nn.Parameter(torch.zeros(channels)), nn.Parameter(torch.zeros(channels))
        self.slope = nn.Parameter(torch.full((channels,), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.prelu(x - per_channel(self.before, x), self.slope) + per_channel(self.after, x)


class Block(nn.Module):
    """out = stream(rprelu(stream(norm(conv(sign(x)))) + shortcut(x))): one convolution under one shortcut (Bi-Real, arXiv 1808.00278).

    x and out: (N, channels, H, W) on the grid. A `wider` block halves rows and columns: its shortcut is a mean over 2x2, twice behind
    itself ("concat", as ReActNet has it), or its signs through a binary 1x1 convolution ("conv").
    """

    def __init__(self, before: int, after: int, method: Method, bits: int, shortcut: str, wider: bool) -> None:
        super().__init__()
        self.sign = SignActivation(before, method.activation)
        self.pad = nn.ConstantPad2d(1, -1.0)
        self.conv = BinaryConv2d(before, after, 3, method.binarizer, stride=2 if wider else 1)
        self.norm = method.norm(self.conv)
        self.quant = Stream(bits)
        self.shortcut = nn.Identity() if not wider else Doubled(bits) if shortcut == "concat" else Widened(before, after, method, bits)
        self.act = RPRelu(after)
        self.out = Stream(bits)

    def forward(self, x: Tensor) -> Tensor:
        y = self.quant(self.norm(self.conv(self.pad(self.sign(x)))))
        return self.out(self.act(y + self.shortcut(x)))


class Doubled(nn.Module):
    """(N, C, H, W) -> (N, 2 C, H/2, W/2): the mean over 2x2, on the grid, twice."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.pool, self.quant = nn.AvgPool2d(2), Stream(bits)

    def forward(self, x: Tensor) -> Tensor:
        half = self.quant(self.pool(x))
        return torch.cat([half, half], 1)


class Widened(nn.Module):
    """(N, C, H, W) -> (N, D, H/2, W/2): the signs of the mean over 2x2 through a binary 1x1 convolution, on the grid."""

    def __init__(self, before: int, after: int, method: Method, bits: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(2)
        self.sign = SignActivation(before, method.activation)
        self.conv = BinaryConv2d(before, after, 1, method.binarizer)
        self.norm = method.norm(self.conv)
        self.quant = Stream(bits)

    def forward(self, x: Tensor) -> Tensor:
        return self.quant(self.norm(self.conv(self.sign(self.pool(x)))))
