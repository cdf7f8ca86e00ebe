"""`irnet`: standardised weights, a power-of-two scale, and a sign that sharpens while training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from arbonn.model.methods.base import Method, register_method
from arbonn.model.recipe import MethodConfig
from arbonn.model.surrogates import AnnealedSign, Binarizer

if TYPE_CHECKING:
    from arbonn.model.layers import BinaryLinear


@register_method("irnet")
class IrNet(Method):
    """IR-Net (CVPR 2020, arXiv 1909.10788).

    Forward   w_hat = (w - mean_c) / std_c, W_c = 2^round(log2 mean |w_hat_c|) * sign(w_hat_c); the scale is 1 for Gaussian
              weights, 1/2 for peaked ones. w: (C_out, ...), the scale: (C_out,).
    Backward  sign: k t (1 - tanh^2(t x)), for weights and activations, t from 0.1 to 10 log-spaced over training,
              k = max(1/t, 1); the gradient flows on through mean and std; nothing through the scale.   State  none.
    Hardware  one bit per weight, that of w_hat, not of w; the scale is a shift, and the file is free of rounding ties.
    """

    summary = "standardised weights, power-of-two scale, annealed tanh backward"
    paper = "IR-Net, CVPR 2020, arXiv 1909.10788"

    def __init__(self, config: MethodConfig) -> None:
        super().__init__(config)
        self.activation = AnnealedSign()

    def on_progress(self, t: float) -> None:
        self.activation.on_progress(t)

    def binarizer(self, layer: BinaryLinear) -> Binarizer:
        sharpened = self.activation  # not `self`: a copied network should not copy the method

        def effective_weight(w: Tensor) -> Tensor:
            w_hat = standardised(w)
            return power_of_two_scale(w_hat) * sharpened(w_hat)

        return effective_weight


def standardised(w: Tensor) -> Tensor:
    """(w - mean_c) / std_c for each channel's filter; a filter of equal weights becomes zeros. (C_out, ...) -> like w."""
    rows = w.flatten(1)
    centred = rows - rows.mean(1, keepdim=True)
    std = centred.square().mean(1, keepdim=True).clamp(min=1e-12).sqrt()  # the clamp holds 0 / 0 off
    return (centred / std).view_as(w)


def power_of_two_scale(w_hat: Tensor) -> Tensor:
    """2^round(log2 mean |w_hat_c|), (C_out, 1, ...), detached."""
    mean = w_hat.detach().abs().flatten(1).mean(1).clamp(min=2.0**-8)  # a filter of equal weights has no magnitude
    return torch.exp2(mean.log2().round()).view(-1, *[1] * (w_hat.dim() - 1))
