"""`coral`: domains whose features vary alike, as a loss around any method."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import torch
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from arbonn.model.methods.across_domains import AcrossDomains
from arbonn.model.methods.base import Context, register_method
from arbonn.model.methods.domains import by_sample
from arbonn.model.methods.wrapper import WrapperConfig


@register_method("coral")
class Coral(AcrossDomains):
    """Deep CORAL (ECCV workshops 2016, arXiv 1607.01719) between all pairs of training domains, as DomainBed (arXiv 2007.01434) has it.

    L_CORAL = mean over pairs of ||Cov_d - Cov_e||_F^2 / (4 C^2), Cov_d the unbiased covariance (C, C) of the domain's features in the
    batch; with `means` also ||mean_d - mean_e||^2 / C, DomainBed's first term.   Loss  L_task + weight * L_CORAL.
    Features  what the last sign sees, a + beta_c (N, C), of maps the mean over pixels: a binary network's last real numbers.
    State  none.   Hardware  the base's.
    """

    summary = "correlation alignment: equal covariances of the last features in all domains, as a loss around another method"
    paper = "Deep CORAL, ECCV workshops 2016, arXiv 1607.01719"

    class Config(WrapperConfig):
        """`weight` 1 is DomainBed's default."""

        weight: NonNegativeFloat = 1.0
        means: bool = False

    def prepare(self, model: nn.Module, domain_count: int, batch: int) -> None:
        from arbonn.model.layers import SignActivation

        super().prepare(model, domain_count, batch)
        # In a list, so that the network's parameters stay out of this one's state_dict.
        self.last = [module for module in model.modules() if isinstance(module, SignActivation)][-1:]
        self.features = torch.zeros(0)
        self.gap = torch.zeros(())

    def step(self, context: Context, closure: Callable[[], Tensor]) -> Tensor:
        def keep(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
            self.features = by_sample(module.shift(arguments[0]))

        hooks = [sign.register_forward_hook(keep) for sign in self.last]
        try:
            return super().step(context, closure)
        finally:
            for hook in hooks:
                hook.remove()  # its graph would hold the step's memory and forbid copying the network
            self.features = torch.zeros(0)

    def loss_terms(self, context: Context) -> dict[str, Tensor]:
        terms = super().loss_terms(context)
        if self.config.weight == 0 or not self.last:
            return terms
        loss = alignment(self.features.float(), context.domains, self.config.means)
        self.gap = loss.detach()
        return {**terms, "coral": self.config.weight * loss}

    def measures(self) -> dict[str, float]:
        return {**super().measures(), "coral": float(self.gap)}


def alignment(features: Tensor, domains: Tensor, means: bool = False) -> Tensor:
    """L_CORAL of (N, C) features, a scalar; 0 where fewer than two domains have two images or more."""
    parts = [features[domains == domain] for domain in torch.unique(domains)]
    parts = [part for part in parts if len(part) > 1]
    width = features.shape[1]
    moments = [(part.mean(0), covariance(part)) for part in parts]
    losses = [
        (other_cov - cov).square().sum() / (4 * width**2) + ((other_mean - mean).square().mean() if means else 0.0)
        for (mean, cov), (other_mean, other_cov) in combinations(moments, 2)
    ]
    return torch.stack(losses).mean() if losses else features.sum() * 0


def covariance(features: Tensor) -> Tensor:
    """(N, C) -> (C, C), unbiased."""
    centred = features - features.mean(0)
    return centred.T @ centred / (len(features) - 1)
