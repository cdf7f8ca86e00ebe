"""A norm and a loss that keep activation binarization steady across domains. Both act while training only."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from arbonn.model.methods.pixels import Affine, FiringRate, Moments


def by_domain(x: Tensor, domains: Tensor) -> tuple[Tensor, Tensor]:
    """(index (N,), membership (D, N)) over the domains present: membership @ x / size is the mean of each domain."""
    _, index = torch.unique(domains, return_inverse=True)
    membership = one_hot(index).to(x.dtype).T
    return index, membership / membership.sum(1, keepdim=True)


def domain_statistics(x: Tensor, domains: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance of each domain present. x: (N, C, ...), domains: (N,); index (N,), mu and var (D, C)."""
    if x.dim() == 2:
        return joined(x, torch.zeros_like(x), domains)
    _, mean, variance = Moments.apply(x.flatten(2))
    return joined(mean, variance, domains)


def joined(mean: Tensor, variance: Tensor, domains: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`domain_statistics` from each sample's own mean and variance over its pixels, (N, C) each."""
    index, average = by_domain(mean, domains)
    mu = average @ mean
    return index, mu, average @ (variance + (mean - mu[index]).square())


def by_sample(x: Tensor) -> Tensor:
    """(N, C, ...) -> (N, C): the mean over a sample's pixels."""
    return x if x.dim() == 2 else x.flatten(2).mean(2)


def pooled(mu: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    """mean_d mu_d and mean_d var_d + Var_d(mu_d): the joined data's statistics if all domains have one size. (D, C) -> (C,)."""
    return mu.mean(0), var.mean(0) + mu.var(0, unbiased=False)


class DomainNorm(nn.BatchNorm1d):
    """BatchNorm whose batch statistics are pooled over domains and, at times, mixed between two of them. x: (N, C) or (N, C, H, W).

    A sample is standardised with the pooled statistics; with probability `probability` instead with mean
    m mu_d + (1 - m) mu_e and deviation m sigma_d + (1 - m) sigma_e, e another domain present, m ~ Beta(concentration,
    concentration) (MixStyle, arXiv 2104.02008). Gradients flow through all statistics, as in BatchNorm. The running averages are
    of the pooled ones (biased), and evaluation is plain BatchNorm: no label is needed, and the export is BatchNorm's.

    `domains` (N,) is set for a step by its method; while it is None, or holds one domain, this *is* BatchNorm.
    `key` seeds the draws: two passes over one batch mix alike.
    """

    def __init__(self, features: int, probability: float, concentration: float) -> None:
        super().__init__(features)
        self.probability, self.concentration = probability, concentration
        self.domains: Tensor | None = None
        self.key: tuple[int, ...] = (0,)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.domains is None or len(torch.unique(self.domains)) < 2:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):  # statistics in full precision, as BatchNorm's are
            return self._by_domain(x.to(self.weight.dtype)).to(x.dtype)

    def _by_domain(self, x: Tensor) -> Tensor:
        maps = x.dim() == 4
        centred, own, spread = Moments.apply(x.flatten(2)) if maps else (x, x, torch.zeros_like(x))
        index, mu, var = joined(own, spread, self.domains)
        mean, variance = pooled(mu, var)
        if self.track_running_stats:
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(variance.detach(), self.momentum)
        deviation = (var + self.eps).sqrt()
        mixed, m, other = self._draw(index, len(mu))
        mean = torch.where(mixed, m * mu[index] + (1 - m) * mu[other], mean)
        deviation = torch.where(mixed, m * deviation[index] + (1 - m) * deviation[other], (variance + self.eps).sqrt())
        scale = self.weight / deviation
        if not maps:
            return (x - mean) * scale + self.bias
        return Affine.apply(centred, scale, (own - mean) * scale + self.bias).view_as(x)

    def _check_input_dim(self, x: Tensor) -> None:
        if x.dim() not in (2, 4):
            raise ValueError(f"expected (N, C) or (N, C, H, W), got {tuple(x.shape)}")

    def _draw(self, index: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Per sample: whether it is mixed (N, 1), its m (N, 1), and its other domain (N,)."""
        random, n = np.random.default_rng(self.key), len(index)
        mixed = torch.from_numpy(random.random((n, 1)) < self.probability)
        m = torch.from_numpy(random.beta(self.concentration, self.concentration, (n, 1))).to(self.weight.dtype)
        step = torch.from_numpy(random.integers(1, count, n))
        device = index.device
        return mixed.to(device), m.to(device), (index + step.to(device)) % count


def firing_variance(shifted: list[Tensor], domains: Tensor, k: float) -> Tensor:
    """L_DI = mean over points and channels of Var_d( mean_{x in d} tanh(k (a + beta_c)) ), over the domains present; a scalar.

    shifted: a + beta at each binarization, (N, C, ...) each; of maps, a channel's rate is over all pixels.
    It is 0 when every channel fires equally often in every domain.
    """
    rates = []
    for point in shifted:
        _, average = by_domain(point, domains)
        own = torch.tanh(k * point) if point.dim() == 2 else FiringRate.apply(point.flatten(2), k)
        rates.append((average @ own).var(0, unbiased=False))
    return torch.cat(rates).mean()
