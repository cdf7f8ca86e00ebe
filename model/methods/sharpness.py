"""Perturbations that `sign` cannot swallow, and the sharpness of each channel that they show.

A step on latent weights changes almost no sign, so a flat-minimum seeker there feels nothing. Here the step is taken on the
effective weights W = alpha * b, after the sign.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from arbonn.model.methods.base import averaged, frozen_statistics

if TYPE_CHECKING:
    from arbonn.model.layers import BinaryLinear

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


@dataclass(frozen=True)
class Passes:
    """Of two passes over one batch: the loss at W, dL/dW of every layer at W and at W + eps, and eps."""

    loss: Tensor
    before: list[Tensor]
    after: list[Tensor]
    eps: list[Tensor]


def effective_passes(model: nn.Module, layers: Sequence[BinaryLinear], closure: Callable[[], Tensor], rho: float, mode: RhoMode) -> Passes:
    """A pass at W and one at W + eps, whose gradients stay for the optimizer. BN statistics move in the first only."""
    quantizers = [layer.quantizer for layer in layers]
    recorded = [quantizer.record for quantizer in quantizers]
    for quantizer in quantizers:
        quantizer.record, quantizer.grad = True, None
    loss = closure()
    before = [averaged(quantizer.grad) for quantizer in quantizers]
    eps = ascent(before, [layer.effective_weight() for layer in layers], rho, mode)
    for quantizer, step in zip(quantizers, eps, strict=True):
        quantizer.perturbation, quantizer.grad = step, None
    with frozen_statistics(model):
        closure()
    after = [averaged(quantizer.grad) for quantizer in quantizers]
    for quantizer, record in zip(quantizers, recorded, strict=True):
        quantizer.perturbation, quantizer.record = None, record
        quantizer.grad = quantizer.grad if record else None  # a method that records sees the gradient it steps on
    return Passes(loss, before, after, eps)


def latent_passes(model: nn.Module, layers: Sequence[BinaryLinear], closure: Callable[[], Tensor], rho: float, mode: RhoMode) -> Tensor:
    """The same on latent weights: a pass at w, one at w + rho g_w / ||g_w||; w is put back. Returns the loss at w."""
    loss = closure()
    steps = ascent([layer.weight.grad for layer in layers], [layer.weight.detach() for layer in layers], rho, mode)
    kept = [layer.weight.detach().clone() for layer in layers]
    with torch.no_grad():
        for layer, step in zip(layers, steps, strict=True):
            layer.weight.add_(step)
            layer.quantizer.grad = None
    with frozen_statistics(model):
        closure()
    with torch.no_grad():
        for layer, weight in zip(layers, kept, strict=True):
            layer.weight.copy_(weight)
    return loss
