"""A norm and a loss that keep activation binarization steady across domains. Both act while training only."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from arbonn.model.methods.pixels import FiringRate, Standardised, moments


def by_domain(x: Tensor, domains: Tensor) -> tuple[Tensor, Tensor]:
    """(members (N, D), average (D, N)) of the domains present: members[n, d] is 1 where sample n is of domain d, else 0.

    average @ x is each domain's mean, members @ values each sample's own of (D, C). Products, since an index's gradient is slow.
    """
    _, index = torch.unique(domains, return_inverse=True)
    members = one_hot(index).to(x.dtype)
    return members, (members / members.sum(0)).T


def domain_statistics(x: Tensor, domains: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance of each domain present. x: (N, C, ...), domains: (N,); index (N,), mu and var (D, C)."""
    mean, variance = (x, torch.zeros_like(x)) if x.dim() == 2 else moments(x.flatten(2))[:2]
    members, average = by_domain(x, domains)
    return members.argmax(1), *joined(mean, variance, members, average)


def joined(mean: Tensor, variance: Tensor, members: Tensor, average: Tensor) -> tuple[Tensor, Tensor]:
    """mu and var of `domain_statistics` from each sample's own mean and variance over its pixels, (N, C) each."""
    mu = average @ mean
    return mu, average @ (variance + (mean - members @ mu).square())


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

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # draws with numpy, and asks for a gradient within a backward
    def _by_domain(self, x: Tensor) -> Tensor:
        if x.dim() == 2:
            mean, scale = self._statistics(x, torch.zeros_like(x))
            return (x - mean) * scale + self.bias

        def coefficients(own: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
            mean, scale = self._statistics(own, spread)
            return scale, (own - mean) * scale + self.bias

        out: Tensor = Standardised.apply(x.flatten(2), coefficients, self.weight, self.bias)
        return out.view_as(x)

    def _statistics(self, own: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, weight / deviation) that each sample is standardised with, (1 or N, C), from the samples' own moments."""
        members, average = by_domain(own, self.domains)
        mu, var = joined(own, spread, members, average)
        mean, variance = pooled(mu, var)
        if self.track_running_stats:
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(variance.detach(), self.momentum)
        deviation = (var + self.eps).sqrt()
        shares, rest = self._draw(members)
        return shares @ mu + rest * mean, self.weight / (shares @ deviation + rest * (variance + self.eps).sqrt())

    def _check_input_dim(self, x: Tensor) -> None:
        if x.dim() not in (2, 4):
            raise ValueError(f"expected (N, C) or (N, C, H, W), got {tuple(x.shape)}")

    def _draw(self, members: Tensor) -> tuple[Tensor, Tensor]:
        """Each sample's share in each domain's statistics, (N, D), and in the pooled ones, (N, 1): 0 where it is mixed, else 1."""
        random, (n, count) = np.random.default_rng(self.key), members.shape
        mixed = torch.from_numpy(random.random((n, 1)) < self.probability).to(members)
        m = torch.from_numpy(random.beta(self.concentration, self.concentration, (n, 1))).to(members)
        step = torch.from_numpy(random.integers(1, count, n)).to(members.device)
        other = one_hot((members.argmax(1) + step) % count, count)
        return mixed * (m * members + (1 - m) * other), 1 - mixed


def firing_variance(shifted: list[Tensor], domains: Tensor, k: float) -> Tensor:
    """L_DI = mean over points and channels of Var_d( mean_{x in d} tanh(k (a + beta_c)) ), over the domains present; a scalar.

    shifted: a + beta at each binarization, (N, C, ...) each; of maps, a channel's rate is over all pixels.
    It is 0 when every channel fires equally often in every domain.
    """
    _, average = by_domain(shifted[0], domains)
    rates = []
    for point in shifted:
        own = torch.tanh(k * point) if point.dim() == 2 else FiringRate.apply(point.flatten(2), k)
        rates.append((average @ own).var(0, unbiased=False))
    return torch.cat(rates).mean()
