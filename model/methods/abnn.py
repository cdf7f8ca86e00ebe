"""`abnn`: the weights and the sign of A&B BNN, meant for networks of its norm-free block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from arbonn.model.methods.base import Method, register_method
from arbonn.model.methods.binarizers import ClippedSign, l1
from arbonn.model.methods.irnet import standardised
from arbonn.model.surrogates import Binarizer, sign

if TYPE_CHECKING:
    from arbonn.model.layers import BinaryLinear


class SigmoidSign(torch.autograd.Function):
    """Forward sign(x); backward 6 q (1 - q), q = sigmoid(3 x): the slope of 2 q - 1."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return sign(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        q = torch.sigmoid(3 * x)
        return grad * 6 * q * (1 - q)


@register_method("abnn")
class AbBnn(Method):
    """A&B BNN (CVPR 2024, arXiv 2403.03739). w: (C_out, ...), gain: (C_out,) learnable, from 1.

    Forward   w_hat = fan_in^(-1/2) (w - mean_c) / std_c, W_c = |gain_c| mean |w_hat_c| sign(w_hat_c), the mean detached.
    Backward  sign of weights: identity on |w_hat| <= 1, flowing on through mean and std; of activations: 6 q (1 - q), q = sigmoid(3x).
    Network   `network.block = "nf"` is its norm-free block; the block takes any method, and this method any block.
    State     none beyond w and gain.   Hardware  one bit per weight, that of w_hat; the gain folds into the thresholds.
    """

    summary = "standardised weights with a learnt gain, for norm-free blocks (network.block = nf)"
    paper = "A&B BNN, CVPR 2024, arXiv 2403.03739"
    activation = staticmethod(SigmoidSign.apply)

    def binarizer(self, layer: BinaryLinear) -> Binarizer:
        return GainedSign(layer.out_features)


class GainedSign(nn.Module):
    """w -> |gain_c| * mean |w_hat_c| * sign(w_hat_c)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))  # not `alpha`: it is no magnitude of w

    def forward(self, w: Tensor) -> Tensor:
        w_hat = standardised(w) * w[0].numel() ** -0.5
        scale = self.gain.abs() * l1(w_hat.detach())
        return scale.view(-1, *[1] * (w.dim() - 1)) * ClippedSign.apply(w_hat)
