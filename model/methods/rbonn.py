"""`rbonn`: recurrent bilinear optimization, with the recurrence of the paper and that of its published code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor, nn

from arbonn.model.methods.base import Context, Method, register_method
from arbonn.model.methods.binarizers import LearnableScale, ScaleGrad
from arbonn.model.methods.density import Reconstruction, Recurrence, by_index, reconstruction, sparse_in_weights
from arbonn.model.recipe import MethodConfig
from arbonn.model.surrogates import Binarizer

if TYPE_CHECKING:
    from arbonn.model.layers import BinaryLinear


@register_method("rbonn")
class Rbonn(Method):
    """RBONN (ECCV 2022, arXiv 2209.01542). w: (C_out, ...), alpha, U: (C_out,), A = 1/|alpha|.

    Why       w and alpha are coupled; optimised as if independent, w becomes sparse where A becomes dense, and both stop learning.
    Forward   W_c = |alpha_c| sign(w_c), alpha learnable from mean |w_c|.
    Backward  dw = alpha g + lambda (w - alpha b), dalpha_c = sum(g b) - lambda sum((w - alpha b) b): the task and the bilinear
              term lambda/2 sum_c ||w_c - alpha_c b_c||^2 (`recon` "w"), or lambda ||b - A w||^2 ("b", as printed).
    Recur     `recurrence` "paper": after the optimizer's w', w_new = w' + U_c DReLU(w^t)_c, where DReLU_c = w_c^t if the channel is
              sparse in w and dense in A, else 0; U <- min(|U - eta_U dU|, u_max), dU_c = sum(dw_c^t DReLU(w^(t-1))_c).
              "code": while training, the forward sees w - U_c [selected_c] dw^(t-1); w itself is not overwritten; U, from 0.2, is
              one more parameter of the optimizer at `u_lr` of its rate, dU_c = -sum(dw_c^t dw_c^(t-1)) on the selected channels.
    Select    `select` "true" as above; "index" the code's comparison of an argsort index, which is near-random.

    Densities are taken before the step. The published code reads `w.grad` in its forward, which breaks with cleared or accumulated
    gradients; here the last weights or gradient are kept.   State  U, and DReLU(w^(t-1)) or dw^(t-1), of each layer.
    Hardware  one bit per weight; alpha folds into the thresholds.
    """

    summary = "recurrent bilinear optimization: backtracks channels that are sparse in w while their scale is not"
    paper = "RBONN, ECCV 2022, arXiv 2209.01542"

    class Config(MethodConfig):
        """`u_start` by default 1e-4 for the paper's recurrence, 0.2 for the code's: 0.2 would blow the paper's up."""

        recurrence: Literal["paper", "code"] = "paper"
        select: Literal["true", "index"] = "true"
        tau: Annotated[float, Field(ge=0, le=1)] = 0.6
        recon: Reconstruction = "w"
        recon_weight: NonNegativeFloat = Field(1e-4, description="lambda")
        u_start: NonNegativeFloat | None = None
        u_max: NonNegativeFloat = Field(1e-3, description="cap of U, for the paper's recurrence")
        u_lr: NonNegativeFloat = Field(0.1, description="learning rate of U in units of the weights' own")
        weight_clip: bool = False
        scale_grad: ScaleGrad = "true"

    def binarizer(self, layer: BinaryLinear) -> Binarizer:
        plain = LearnableScale(layer.weight, 1.0 if self.config.weight_clip else None, self.config.scale_grad)
        return plain if self.config.recurrence == "paper" else GradientRecurrence(plain, layer.weight, self._u_start())

    def prepare(self, model: nn.Module, domain_count: int, batch: int) -> None:
        from arbonn.model.layers import binary_layers

        self.layers = list(binary_layers(model).values())
        if self.config.recurrence == "paper":
            self.recurrences = nn.ModuleList(Recurrence(layer, self._u_start(), self.config.u_max) for layer in self.layers)

    def param_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        if self.config.recurrence == "paper":
            return super().param_groups(model)
        rates = [layer.binarizer.u for layer in self.layers]
        own = {id(u) for u in rates}
        rest = [parameter for parameter in model.parameters() if parameter.requires_grad and id(parameter) not in own]
        return [{"params": rest, "lr_scale": 1.0}, {"params": rates, "lr_scale": self.config.u_lr}]

    def loss_terms(self, context: Context) -> dict[str, Tensor]:
        if self.config.recon_weight == 0:
            return {}
        terms = torch.stack([reconstruction(layer, self.config.recon) for layer in self.layers])
        return {"reconstruction": self.config.recon_weight * terms.sum()}

    def step(self, context: Context, closure: Callable[[], Tensor]) -> Tensor:
        selected = [self.selected(layer) for layer in self.layers]
        if self.config.recurrence == "code":
            for layer, channels in zip(self.layers, selected, strict=True):
                layer.binarizer.select(channels)
            loss = closure()
            for layer in self.layers:
                layer.binarizer.keep(layer.weight.grad)
            context.optimizer.step()
            return loss
        loss = closure()
        for layer, recurrence, channels in zip(self.layers, self.recurrences, selected, strict=True):
            recurrence.before(layer, channels)
        context.optimizer.step()
        for layer, recurrence in zip(self.layers, self.recurrences, strict=True):
            recurrence.after(layer, self.config.u_lr * context.lr)
        return loss

    def selected(self, layer: BinaryLinear) -> Tensor:
        """The channels that the recurrence acts on, (C_out,) bool."""
        return (sparse_in_weights if self.config.select == "true" else by_index)(layer, self.config.tau)

    def measures(self) -> dict[str, float]:
        holders = self.recurrences if self.config.recurrence == "paper" else [layer.binarizer for layer in self.layers]
        selected = torch.cat([self.selected(layer) for layer in self.layers])
        return {"u": float(torch.cat([holder.u.detach() for holder in holders]).mean()), "selected": float(selected.float().mean())}

    def _u_start(self) -> float:
        default = {"paper": 1e-4, "code": 0.2}[self.config.recurrence]
        return default if self.config.u_start is None else self.config.u_start


class GradientRecurrence(nn.Module):
    """W = inner(w - U_c [selected_c] dw^(t-1)) while training; evaluation and export see inner(w). State: u, gradient."""

    def __init__(self, inner: LearnableScale, w: Tensor, u_start: float) -> None:
        super().__init__()
        self.inner = inner
        self.u = nn.Parameter(torch.full((len(w),), u_start))
        self.register_buffer("gradient", torch.zeros_like(w))  # dw^(t-1)
        self.register_buffer("along", torch.zeros_like(w), persistent=False)  # dw^(t-1) on the selected channels: made anew each step

    @property
    def alpha(self) -> Tensor:
        return self.inner.alpha

    def forward(self, w: Tensor) -> Tensor:
        if not torch.is_grad_enabled():  # without gradients: evaluation, export, and the count of flips, all of w itself
            return self.inner(w)
        return self.inner(w - self.u.view(-1, *[1] * (w.dim() - 1)) * self.along)

    @torch.no_grad()
    def select(self, channels: Tensor) -> None:
        """Before the forward. channels: (C_out,) bool."""
        self.along.copy_(self.gradient * channels.view(-1, *[1] * (self.gradient.dim() - 1)))

    @torch.no_grad()
    def keep(self, gradient: Tensor) -> None:
        """After the backward: dw^t, for the next step."""
        self.gradient.copy_(gradient)
