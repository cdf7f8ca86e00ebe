"""`arbonn`: associative recurrent bilinear optimization for domain generalization. Our reconstruction: no equations are public."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from arbonn.errors import TrainError
from arbonn.model.methods.base import Context, Method, register_method
from arbonn.model.methods.binarizers import LearnableScale, ScaleGrad
from arbonn.model.methods.density import Recurrence, dense, reconstruction, sparse_in_weights
from arbonn.model.methods.domains import DomainNorm, firing_variance
from arbonn.model.methods.sharpness import RhoMode, channel_sharpness, effective_passes
from arbonn.model.recipe import MethodConfig
from arbonn.model.surrogates import Binarizer

if TYPE_CHECKING:
    from arbonn.model.layers import BinaryLinear

Share = Annotated[float, Field(ge=0, le=1)]


@register_method("arbonn")
class Arbonn(Method):
    """ARBONN, our reconstruction: no equations are public, only what the method is for and what its parts are called.

    Known: flat-minimum seekers fail on binary nets because sign swallows their perturbation and because the coupling of weights
    and scales is ignored; the remedy is a recurrent optimisation with an Associative Density-ReLU, which backtracks sparse latent
    weights under density and flatness conditions, and a domain-invariant module. Everything below that makes this exact is ours.

    1 Perturb  eps = rho * g / ||g||_2 on the effective weights W of all binary layers, one norm; step on the gradient at W + eps.
    2 Sharp    s_c = <g_c(W + eps) - g_c(W), eps_c> / ||eps_c||^2, moving average, every `k_sharp` steps (one pass between).
    3 ADReLU   w_c if sparse in w and dense in A = 1/alpha and [rank(s)_c >= int(C tau_f)] else 0; w_new = w' + U_c * ADReLU,
               U learnt: RBONN's recurrence (arXiv 2209.01542) with a third condition. Its bilinear term lambda is `recon`.
    4 Norm     DomainNorm in place of the BatchNorm before each sign.
    5 L_DI     `di_weight` times the variance between domains of each channel's soft firing rate, k rising from 1 to `di_k`.

    Order in a step: pass at W, pass at W + eps, masks from the weights before the step, optimizer, recurrence with U, then U.
    g is the gradient of everything trained except the bilinear term, which does not act through W.
    rho = 0, tau_f = 0, domain_norm = false, di_weight = 0 is RBONN.   State  s, U and ADReLU(w^(t-1)) of each layer.
    Hardware  one bit per weight, thresholds; no domain label and no extra unit at inference.
    """

    summary = "associative recurrent bilinear optimization, our reconstruction: flat minima in effective weights, domain-invariant norm"
    paper = "none public; after RBONN, arXiv 2209.01542"

    class Config(MethodConfig):
        """Defaults are the reconstruction's; each part has a value that switches it off."""

        rho: NonNegativeFloat = 0.05
        rho_mode: RhoMode = "absolute"
        k_sharp: PositiveInt = Field(1, description="steps between perturbed passes; 5 is the cheap mode")
        sharpness_decay: Annotated[float, Field(ge=0, lt=1)] = 0.9
        tau: Share = 0.6
        tau_f: Share = 0.5
        recon: NonNegativeFloat = Field(1e-4, description="lambda of the bilinear term")
        u_start: NonNegativeFloat = 1e-4
        u_max: NonNegativeFloat = 1e-3
        u_lr: NonNegativeFloat = Field(0.1, description="learning rate of U in units of the weights' own")
        domain_norm: bool = True
        mix_probability: Share = 0.5
        mix_concentration: PositiveFloat = 0.1
        di_weight: NonNegativeFloat = 0.1
        di_k: Annotated[float, Field(ge=1)] = 5.0
        weight_clip: bool = False
        scale_grad: ScaleGrad = "true"

        @model_validator(mode="after")
        def _sharpness_is_measured(self) -> Arbonn.Config:
            if self.rho == 0 and self.tau_f > 0:
                raise ValueError("tau_f = 0 where rho = 0: without a perturbation no sharpness is known to select by")
            return self

    def needs_domains(self) -> bool:
        return self.config.domain_norm or self.config.di_weight > 0

    def binarizer(self, layer: BinaryLinear) -> Binarizer:
        return LearnableScale(layer.weight, 1.0 if self.config.weight_clip else None, self.config.scale_grad)

    def norm(self, layer: BinaryLinear) -> nn.Module:
        if not self.config.domain_norm:
            return super().norm(layer)
        return DomainNorm(layer.out_features, self.config.mix_probability, self.config.mix_concentration)

    def prepare(self, model: nn.Module, domain_count: int, batch: int) -> None:
        from arbonn.model.layers import SignActivation, binary_layers

        uses_domains = self.config.domain_norm or self.config.di_weight > 0
        if uses_domains and domain_count > 1 and (batch % domain_count or batch // domain_count < 16):
            raise TrainError(
                "train.batch",
                found=f"{batch} images from {domain_count} domains",
                allowed=f"a multiple of {domain_count} with at least 16 images of each domain",
                fix=f"batch = {max(batch // domain_count, 16) * domain_count}",
            )
        # In containers that are no modules: the network's parameters belong to the network's state_dict, not to the method's.
        layers = binary_layers(model)
        self.layers = list(layers.values())
        self.norms = [module for module in model.modules() if isinstance(module, DomainNorm)]
        self.signs = [module for module in model.modules() if isinstance(module, SignActivation)]
        self.recurrences = nn.ModuleList(Recurrence(layer, self.config.u_start, self.config.u_max) for layer in self.layers)
        for number, layer in enumerate(self.layers):
            self.register_buffer(f"sharpness{number}", torch.zeros(layer.out_features))
        self.k = 1.0

    def sampler(self, domains: npt.NDArray[np.int64], order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Domains in turn, so that every batch is balanced; a small domain's images come round again."""
        members = [order[domains[order] == domain] for domain in np.unique(domains)]
        each = len(order) // len(members)
        return np.stack([np.resize(member, each) for member in members], 1).ravel() if len(members) > 1 else order

    def on_progress(self, t: float) -> None:
        self.k = 1.0 + (self.config.di_k - 1.0) * t

    def loss_terms(self, context: Context) -> dict[str, Tensor]:
        terms = {}
        if self.config.recon > 0:
            terms["reconstruction"] = self.config.recon * torch.stack([reconstruction(layer) for layer in self.layers]).sum()
        if self.config.di_weight > 0 and self.signs:
            shifted = [sign.shifted for sign in self.signs]
            terms["domain_invariance"] = self.config.di_weight * firing_variance(shifted, context.domains, self.k)
        return terms

    def step(self, context: Context, closure: Callable[[], Tensor]) -> Tensor:
        with self._seen_domains(context):
            loss = closure() if self.config.rho == 0 or context.step % self.config.k_sharp else self._perturbed(context, closure)
        for number, (layer, recurrence) in enumerate(zip(self.layers, self.recurrences, strict=True)):
            recurrence.before(layer, self.selected(number))
        context.optimizer.step()
        for layer, recurrence in zip(self.layers, self.recurrences, strict=True):
            recurrence.after(layer, self.config.u_lr * context.lr)
        return loss

    def selected(self, number: int) -> Tensor:
        """ADReLU's condition for layer `number`, (C_out,) bool: sparse in w, dense in A, sharp."""
        sharp = dense(getattr(self, f"sharpness{number}"), self.config.tau_f)
        return sparse_in_weights(self.layers[number], self.config.tau) & sharp

    def measures(self) -> dict[str, float]:
        u = torch.cat([recurrence.u for recurrence in self.recurrences])
        sharpness = torch.cat([getattr(self, f"sharpness{number}") for number in range(len(self.layers))])
        selected = torch.cat([self.selected(number) for number in range(len(self.layers))])
        return {"u": float(u.mean()), "sharpness": float(sharpness.mean()), "selected": float(selected.float().mean())}

    def _perturbed(self, context: Context, closure: Callable[[], Tensor]) -> Tensor:
        """Two passes over one batch; leaves the gradients of the second, at W + eps, for the optimizer."""
        passes = effective_passes(context.model, self.layers, closure, self.config.rho, self.config.rho_mode)
        decay = self.config.sharpness_decay if context.step else 0.0  # the first measurement starts the average
        for number, (old, new, eps) in enumerate(zip(passes.before, passes.after, passes.eps, strict=True)):
            average = getattr(self, f"sharpness{number}")
            average.mul_(decay).add_(channel_sharpness(old, new, eps), alpha=1 - decay)
        return passes.loss

    @contextmanager
    def _seen_domains(self, context: Context) -> Iterator[None]:
        """Lets the norms know the batch's domains, and the signs keep their inputs, for the passes of one step."""
        for number, norm in enumerate(self.norms):
            norm.domains, norm.key = context.domains, (context.seed, context.step, number)
        for sign in self.signs:
            sign.keep = self.config.di_weight > 0
        try:
            yield
        finally:
            for norm in self.norms:
                norm.domains = None
            for sign in self.signs:
                sign.keep, sign.shifted = False, None  # a kept graph would hold the step's memory and forbid copying the network
