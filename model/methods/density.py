"""Which channels are sparse or dense, and the recurrence that backtracks them: shared by the bilinear methods (RBONN and after).

Notation: w (C_out, ...) latent weights of a layer, A = 1/|alpha| (C_out,), T = int(C_out * tau).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from arbonn.model.methods.binarizers import l1
from arbonn.model.surrogates import sign

if TYPE_CHECKING:
    from arbonn.model.layers import BinaryLinear


def rank(values: Tensor) -> Tensor:
    """Ascending 0-based rank of each entry among all: argsort of argsort. Equal values keep their order."""
    return values.argsort(stable=True).argsort(stable=True)


def dense(values: Tensor, tau: float) -> Tensor:
    """D(values)_c = [rank_c >= int(C * tau)]; (C,) bool. tau = 0: every channel is dense, tau = 1: none."""
    return rank(values) >= int(len(values) * tau)


def sparse_in_weights(layer: BinaryLinear, tau: float) -> Tensor:
    """Channels sparse in w while dense in A, (C_out,) bool: DReLU's condition (RBONN, arXiv 2209.01542)."""
    return ~dense(l1(layer.weight.detach()), tau) & dense(1 / layer.binarizer.alpha.detach().abs(), tau)


def by_index(layer: BinaryLinear, tau: float) -> Tensor:
    """The selection of RBONN's published code: [argsort(A)_c < int(C * (1 - tau))], (C_out,) bool.

    An argsort *index* says which channel stands at place c, not at which place channel c stands: near-random. For comparison only.
    """
    density = 1 / layer.binarizer.alpha.detach().abs()
    return density.argsort(stable=True) < int(len(density) * (1 - tau))


class Recurrence(nn.Module):
    """w_new = w' + U_c * DReLU(w^t)_c after the optimizer's w', with U >= 0 learnt (RBONN, its update of w and U).

    One step t:  `before` keeps DReLU(w^t)_c = w_c^t on the selected channels, else 0, from the weights before the step;
    `after` adds U^t * DReLU(w^t) to the stepped weights, then U <- min(|U - eta_U * dU|, u_max) by plain gradient descent with
    dU_c = sum(dw_c^t * DReLU(w^(t-1))_c): the weights dw^t was taken at contain U * DReLU(w^(t-1)).

    State: u (C_out,), previous = DReLU(w^(t-1)) like w. Both travel in the state_dict: no gradient is read from a step before.
    """

    def __init__(self, layer: BinaryLinear, u_start: float, u_max: float) -> None:
        super().__init__()
        self.u_max = u_max
        self.register_buffer("u", torch.full((layer.out_features,), u_start))
        self.register_buffer("previous", torch.zeros_like(layer.weight))
        self.current, self.gradient = self.previous, self.previous  # what `before` finds, for `after`

    @torch.no_grad()
    def before(self, layer: BinaryLinear, selected: Tensor) -> None:
        """Between the backward and the optimizer's step. selected: (C_out,) bool."""
        self.current = layer.weight * selected.view(-1, *[1] * (layer.weight.dim() - 1))
        # Multiplying by a bool turns a negative weight into -0.0 on an unselected channel; adding it changes no bit of w.
        self.gradient = layer.weight.grad.clone()

    @torch.no_grad()
    def after(self, layer: BinaryLinear, eta_u: float) -> None:
        """After the optimizer's step. eta_u: the learning rate of U, 0.1 of the weights' own."""
        # add_, not +=: assigning the attribute makes Brevitas rebuild the layer's quantizer.
        layer.weight.add_(self.u.view(-1, *[1] * (layer.weight.dim() - 1)) * self.current)
        slope = (self.gradient * self.previous).flatten(1).sum(1)
        self.u.copy_((self.u - eta_u * slope).abs().clamp(max=self.u_max))
        self.previous.copy_(self.current)


Reconstruction = Literal["w", "b"]


def reconstruction(layer: BinaryLinear, of: Reconstruction = "w") -> Tensor:
    """RBONN's second term without its lambda, a scalar; b is held fixed.

    "w"  1/2 * sum_c ||w_c - |alpha_c| b_c||^2, the code's.    "b"  sum_c ||b_c - A_c w_c||^2, A = 1/|alpha|, as printed: its
    gradient 2 A^2 (w - |alpha| b) is 800 times that of "w" at |alpha| = 0.05.
    """
    if of == "b":
        alpha = layer.binarizer.alpha.abs().view(-1, *[1] * (layer.weight.dim() - 1))
        b = sign(layer.weight)
        return (b - layer.weight / alpha).square().sum()
    return _HalfSquares.apply(layer.weight, layer.binarizer.alpha)


class _HalfSquares(torch.autograd.Function):
    """1/2 * sum_c ||w_c - |alpha_c| b_c||^2 with its two gradients written out: a step costs a few passes over w, not a dozen."""

    @staticmethod
    def forward(ctx, w: Tensor, alpha: Tensor) -> Tensor:
        gap = w - sign(w).mul_(alpha.abs().view(-1, *[1] * (w.dim() - 1)))
        ctx.save_for_backward(w, alpha, gap)
        flat = gap.flatten()
        return 0.5 * torch.dot(flat, flat)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:
        w, alpha, gap = ctx.saved_tensors
        return gap * grad, (sign(w).mul_(gap).flatten(1).sum(1) * sign(alpha)).mul_(-grad)
