"""`mixstyle`: features in the statistics of two domains at once, around any method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from arbonn.model.methods.across_domains import AcrossDomains
from arbonn.model.methods.base import Context, register_method
from arbonn.model.methods.domains import domain_statistics
from arbonn.model.methods.wrapper import WrapperConfig

EPS = 1e-6


@register_method("mixstyle")
class MixStyle(AcrossDomains):
    """MixStyle (ICLR 2021, arXiv 2104.02008), with partners from another domain.

    x' = (x - mu) / sigma * (m sigma + (1 - m) sigma') + m mu + (1 - m) mu' in front of the first `points` signs, each time with
    probability `probability` for the whole batch; mu, sigma: mean and deviation of each channel of one image over its pixels, mu',
    sigma' those of a drawn image of another domain, m ~ Beta(concentration, concentration) for each image. No gradient through them.
    Features of an MLP have no pixels: there mu and sigma are those of the image's domain in the batch. That is ours.

    Only in a training step, and alike in all passes of it; evaluation, measures and export never see it.
    State  none: draws are a function of (seed, step, point).   Hardware  the base's.
    """

    summary = "mixes the statistics of features between domains while training, around another method"
    paper = "MixStyle, ICLR 2021, arXiv 2104.02008"

    class Config(WrapperConfig):
        """The paper's values; its points are the first two of four stages of a ResNet-18."""

        points: PositiveInt = 2
        probability: Annotated[float, Field(ge=0, le=1)] = 0.5
        concentration: PositiveFloat = 0.1

    def prepare(self, model: nn.Module, domain_count: int, batch: int) -> None:
        from arbonn.model.layers import SignActivation

        super().prepare(model, domain_count, batch)
        # In a list, so that the network's parameters stay out of this one's state_dict.
        self.signs = [module for module in model.modules() if isinstance(module, SignActivation)][: self.config.points]

    def step(self, context: Context, closure: Callable[[], Tensor]) -> Tensor:
        hooks = []
        if bool((context.domains != context.domains[0]).any()):
            for point, sign in enumerate(self.signs):
                hook = self._hook(context, point)
                if hook is not None:
                    hooks.append(sign.register_forward_pre_hook(hook))
        try:
            return super().step(context, closure)
        finally:
            for installed in hooks:
                installed.remove()

    def _hook(self, context: Context, point: int) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Tensor]] | None:
        """What mixes at `point` in this step; None where the draw says not to."""
        random = np.random.default_rng((context.seed, context.step, point))
        if random.random() >= self.config.probability:
            return None
        domains, device = context.domains, context.domains.device
        m = torch.from_numpy(random.beta(self.config.concentration, self.config.concentration, len(domains))).float().to(device)
        partner = torch.from_numpy(partners(domains.cpu().numpy(), random)).to(device)
        return lambda module, arguments: (mixed(arguments[0], domains, partner, m),)


def partners(domains: np.ndarray[Any, np.dtype[np.int64]], random: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int64]]:
    """For each image the row of another whose domain is not its own; (N,) -> (N,). Needs two domains."""
    found = np.empty(len(domains), np.int64)
    for domain in np.unique(domains):
        own = domains == domain
        found[own] = random.choice(np.flatnonzero(~own), own.sum())
    return found


def mixed(x: Tensor, domains: Tensor, partner: Tensor, m: Tensor) -> Tensor:
    """x: (N, C) or (N, C, H, W) in the statistics m of its own and 1 - m of its partner's; partner, m: (N,)."""
    mu, sigma = _style(x, domains)
    m = m.to(x.dtype).view(-1, *[1] * (x.dim() - 1))
    return (x - mu) / sigma * (m * sigma + (1 - m) * sigma[partner]) + m * mu + (1 - m) * mu[partner]


@torch.no_grad()
def _style(x: Tensor, domains: Tensor) -> tuple[Tensor, Tensor]:
    """(mu, sigma) of each image, (N, C) with as many axes as x."""
    if x[0, 0].numel() > 1:
        var, mu = torch.var_mean(x, dim=list(range(2, x.dim())), correction=0, keepdim=True)
        return mu, (var + EPS).sqrt()
    index, mu, var = domain_statistics(x, domains)
    shape = (len(x), x.shape[1], *[1] * (x.dim() - 2))
    return mu[index].view(shape), (var[index] + EPS).sqrt().view(shape)
