"""Perturbations that `sign` cannot swallow, and the sharpness of each channel that they show.

A step on latent weights changes almost no sign, so a flat-minimum seeker there feels nothing. Here the step is taken on the
effective weights W = alpha * b, after the sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

RhoMode = Literal["absolute", "relative"]


def ascent(grads: Sequence[Tensor], weights: Sequence[Tensor], rho: float, mode: RhoMode) -> list[Tensor]:
    """eps = rho * g / ||g||_2 for each layer, with one norm over all layers together.

    grads, weights: dL/dW and W of every binary layer. "relative": rho counts in units of ||W||_2, again over all layers.
    """
    radius = rho if mode == "absolute" else rho * global_norm(weights)
    norm = global_norm(grads)
    # Where the gradient is zero there is no direction to go; 1e-12 keeps that from becoming 0 / 0.
    return [radius * grad / (norm + 1e-12) for grad in grads]


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """The 2-norm of all entries of all tensors, a scalar."""
    return torch.stack([tensor.square().sum() for tensor in tensors]).sum().sqrt()


def channel_sharpness(before: Tensor, after: Tensor, eps: Tensor) -> Tensor:
    """s_c = <g_c(W + eps) - g_c(W), eps_c> / (||eps_c||^2 + 1e-12): curvature along eps. All (C_out, ...) -> (C_out,)."""
    change, eps = (after - before).flatten(1), eps.flatten(1)
    return (change * eps).sum(1) / (eps.square().sum(1) + 1e-12)
