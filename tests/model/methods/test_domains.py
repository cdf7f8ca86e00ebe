"""The domain-invariant norm and loss."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from arbonn.model.methods.domains import DomainNorm, domain_statistics, firing_variance, pooled
from arbonn.model.methods.pixels import FiringRate, Standardised

domain_counts = st.integers(2, 4)


def drawn(domains: int, each: int = 16, features: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.arange(domains * each) % domains
    torch.manual_seed(domains)
    return torch.randn(domains * each, features) * (1 + labels[:, None]) + labels[:, None], labels


@given(domain_counts)
def test_pooled_statistics_are_those_of_the_joined_data(domains):
    x, labels = drawn(domains)
    _, mu, var = domain_statistics(x, labels)
    mean, variance = pooled(mu, var)
    assert torch.allclose(mean, x.mean(0), atol=1e-5)
    assert torch.allclose(variance, x.var(0, unbiased=False), rtol=1e-5)


def test_a_domain_counts_as_one_whatever_its_size():
    x = torch.cat([torch.zeros(30, 1), torch.ones(10, 1)])
    _, mu, var = domain_statistics(x, torch.cat([torch.zeros(30), torch.ones(10)]).long())
    mean, variance = pooled(mu, var)
    assert (mean.item(), variance.item()) == pytest.approx((0.5, 0.25))


def test_one_domain_is_batchnorm_bit_for_bit():
    x, _ = drawn(2)
    norm, plain = DomainNorm(3, 0.5, 0.1), nn.BatchNorm1d(3)
    norm.domains = torch.full((len(x),), 3)
    assert torch.equal(norm(x), plain(x))
    assert torch.equal(norm.running_var, plain.running_var)
    assert firing_variance([x], norm.domains, 2.0) == 0


@given(domain_counts)
def test_without_mixing_domains_of_one_size_are_normed_as_by_batchnorm(domains):
    x, labels = drawn(domains)
    norm = DomainNorm(3, 0.0, 0.1)
    norm.domains = labels
    assert torch.allclose(norm(x), nn.BatchNorm1d(3)(x), atol=1e-5)


def test_mixing_changes_about_its_share_of_the_samples_and_repeats_in_a_second_pass():
    x, labels = drawn(4, each=250)
    norm = DomainNorm(3, 0.5, 0.1)
    norm.domains, norm.key = labels, (0, 7)
    first = norm(x)
    changed = (first - nn.BatchNorm1d(3)(x)).abs().amax(1) > 1e-4
    assert changed.float().mean() == pytest.approx(0.5, abs=0.06)
    assert torch.equal(norm(x), first)
    norm.key = (0, 8)
    assert not torch.equal(norm(x), first)


def test_mixing_stays_between_the_statistics_of_two_domains():
    """One sample of domain 0 among constants: its mean is m mu_0 + (1 - m) mu_1, its deviation alike."""
    x, labels = drawn(2, each=64, features=1)
    norm = DomainNorm(1, 1.0, 0.1)
    norm.domains = labels
    _, mu, var = domain_statistics(x, labels)
    ends = torch.stack([(x - mu[d]) / (var[d] + norm.eps).sqrt() for d in range(2)])
    out = norm(x)
    # (x - mean(m)) / deviation(m) is monotone in m, so it lies between the two ends.
    assert (out >= ends.amin(0) - 1e-4).all()
    assert (out <= ends.amax(0) + 1e-4).all()


def test_running_averages_are_of_the_pooled_statistics_and_evaluation_needs_no_label():
    x, labels = drawn(2)
    norm = DomainNorm(3, 1.0, 0.1)
    norm.domains = labels
    norm(x)
    assert torch.allclose(norm.running_mean, 0.1 * x.mean(0), atol=1e-6)
    assert torch.allclose(norm.running_var, 0.9 + 0.1 * x.var(0, unbiased=False), atol=1e-5)
    norm.eval()
    labelled = norm(x)
    norm.domains = None
    assert torch.equal(norm(x), labelled)


def test_gradients_flow_as_numerically_seen():
    x, labels = drawn(2, each=4, features=2)
    norm = DomainNorm(2, 0.5, 0.1).double()
    norm.domains = labels
    norm.track_running_stats = False
    assert torch.autograd.gradcheck(norm, x.double().requires_grad_())


def test_the_loss_is_the_variance_between_firing_rates():
    x = torch.tensor([[0.5], [0.5], [-0.5], [-0.5]])
    labels = torch.tensor([0, 0, 1, 1])
    rate = torch.tanh(torch.tensor(1.0))
    assert firing_variance([x], labels, 2.0).item() == pytest.approx(rate.item() ** 2)
    assert firing_variance([x, torch.zeros(4, 1)], labels, 2.0).item() == pytest.approx(rate.item() ** 2 / 2)
    assert firing_variance([x], torch.tensor([0, 1, 0, 1]), 2.0) == 0, "equal rates in both domains"


@given(st.permutations([0, 1, 2]), domain_counts)
def test_names_of_domains_do_not_matter_and_absent_ones_are_skipped(names, domains):
    x, labels = drawn(min(domains, 3))
    renamed = torch.tensor(names)[labels] * 10
    assert firing_variance([x], renamed, 3.0).item() == pytest.approx(firing_variance([x], labels, 3.0).item())


def test_domain_norm_of_maps_is_that_of_their_pixels():
    """A map's pixels count like as many samples: equal domains then pool to BatchNorm's own statistics."""
    x, domains = torch.randn(8, 3, 4, 5), torch.arange(8) % 2
    norm, plain = DomainNorm(3, 0.0, 0.1), nn.BatchNorm2d(3)
    norm.domains = domains
    assert torch.allclose(norm(x), plain(x), atol=1e-5)
    assert torch.allclose(norm.running_mean, plain.running_mean, atol=1e-6)
    pixels = x.permute(0, 2, 3, 1).reshape(-1, 3)
    _, mu, var = domain_statistics(x, domains)
    _, mu_pixels, var_pixels = domain_statistics(pixels, domains.repeat_interleave(20))
    assert torch.allclose(mu, mu_pixels, atol=1e-6)
    assert torch.allclose(var, var_pixels, atol=1e-6)
    norm.probability = 1.0
    assert not torch.allclose(norm(x), plain(x), atol=1e-3)


def test_firing_rates_of_maps_are_over_all_pixels():
    x, domains = torch.randn(8, 3, 4, 5), torch.arange(8) % 2
    pixels = x.permute(0, 2, 3, 1).reshape(-1, 3)
    assert torch.allclose(firing_variance([x], domains, 2.0), firing_variance([pixels], domains.repeat_interleave(20), 2.0), atol=1e-6)


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.floats(0.5, 5))
def test_a_standardised_map_firing_rates_and_their_gradients_are_those_of_the_formulas(n, c, pixels, k):
    weight = torch.linspace(0.5, 2, c, dtype=torch.float64)

    def coefficients(mean, variance, weight):
        return weight / (variance.mean(0) + 0.1).sqrt() + mean, mean.square() - weight * variance

    def fused(x, weight):
        return Standardised.apply(x, lambda *own: coefficients(*own, weight), weight), FiringRate.apply(x, k)

    def formula(x, weight):
        mean, variance = x.mean(2), x.var(2, unbiased=False)
        scale, shift = coefficients(mean, variance, weight)
        return (x - mean[..., None]) * scale[..., None] + shift[..., None], torch.tanh(k * x).mean(2)

    results = []
    for values in (fused, formula):
        x = torch.linspace(-2, 3, n * c * pixels, dtype=torch.float64).view(n, c, pixels).sin()
        leaves = [x.requires_grad_(), weight.clone().requires_grad_()]
        found = values(*leaves)
        total = sum((value * torch.arange(1, value.numel() + 1).view(value.shape)).sum() for value in found)
        results.append([*(value.detach() for value in found), *torch.autograd.grad(total, leaves)])
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, atol=1e-9)


def test_gradients_of_a_norm_of_maps_are_as_numerically_seen():
    norm = DomainNorm(2, 0.5, 0.1).double()
    norm.domains, norm.track_running_stats = torch.arange(6) % 2, False
    maps = torch.randn(6, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *parameters: norm(x), (maps, norm.weight, norm.bias))
