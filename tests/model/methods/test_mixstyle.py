"""`mixstyle`: the identity where styles are equal, the statistics of two images elsewhere, and nothing at all in evaluation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from arbonn.model.methods.mixstyle import mixed, partners


def maps(domains: int = 2, each: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.arange(domains * each) % domains
    random = torch.Generator().manual_seed(seed)
    return torch.randn(len(labels), 2, 4, 5, generator=random) * (1 + labels.view(-1, 1, 1, 1)) + labels.view(-1, 1, 1, 1), labels


@given(st.lists(st.integers(0, 3), min_size=2, max_size=30).filter(lambda domains: len(set(domains)) > 1), st.integers(0, 9))
def test_a_partner_is_of_another_domain(domains, seed):
    labels = np.array(domains)
    assert (labels[partners(labels, np.random.default_rng(seed))] != labels).all()


@given(st.integers(0, 9), st.floats(0, 1))
def test_a_map_has_the_mixed_mean_and_deviation(seed, share):
    x, domains = maps(seed=seed)
    partner = torch.from_numpy(partners(domains.numpy(), np.random.default_rng(seed)))
    found = mixed(x, domains, partner, torch.full((len(x),), share))
    mu, sigma = x.mean((2, 3)), x.std((2, 3), correction=0)
    assert torch.allclose(found.mean((2, 3)), share * mu + (1 - share) * mu[partner], atol=1e-5)
    assert torch.allclose(found.std((2, 3), correction=0), share * sigma + (1 - share) * sigma[partner], atol=1e-4)


@given(st.integers(0, 9), st.floats(0, 1))
def test_features_take_the_statistics_of_domains(seed, share):
    labels = torch.arange(12) % 3
    x = torch.randn(12, 4, generator=torch.Generator().manual_seed(seed)) * (1 + labels[:, None]) - labels[:, None]
    partner = (torch.arange(12) + 1) % 12  # domain d + 1
    found = mixed(x, labels, partner, torch.full((12,), share))
    for d in range(3):
        own, other = x[labels == d], x[labels == (d + 1) % 3]
        assert torch.allclose(found[labels == d].mean(0), share * own.mean(0) + (1 - share) * other.mean(0), atol=1e-5)
        wanted = share * own.std(0, correction=0) + (1 - share) * other.std(0, correction=0)
        assert torch.allclose(found[labels == d].std(0, correction=0), wanted, atol=1e-4)


@pytest.mark.parametrize("shape", [(3,), (3, 4, 5), (3, 1, 1)])
def test_domains_of_one_style_are_left_as_they_are(shape):
    one = torch.randn(5, *shape)
    x, domains = torch.cat([one, one]), torch.arange(10) // 5
    partner = (torch.arange(10) + 5) % 10
    assert torch.allclose(mixed(x, domains, partner, torch.rand(10)), x, atol=1e-5)
    other = mixed(torch.cat([one, 2 * one + 1]), domains, partner, torch.zeros(10))
    assert torch.allclose(other, torch.cat([2 * one + 1, one]), atol=1e-4), "m = 0 changes the style for the partner's"


def test_no_gradient_goes_through_the_statistics():
    x, domains = maps()
    x.requires_grad_()
    partner = torch.from_numpy(partners(domains.numpy(), np.random.default_rng(0)))
    (grad,) = torch.autograd.grad(mixed(x, domains, partner, torch.zeros(len(x))).sum(), x)
    sigma = x.detach().std((2, 3), correction=0)
    assert torch.allclose(grad, (sigma[partner] / sigma)[:, :, None, None].expand_as(grad), rtol=1e-3)


def seen_by_signs(chosen, net, batch, closures: int = 1) -> list[torch.Tensor]:
    """What the sign saw in each pass of a step."""
    seen = []

    def closure() -> torch.Tensor:
        hook = net.sign0.register_forward_hook(lambda module, arguments, out: seen.append(arguments[0].detach().clone()))
        net(batch.inputs).sum().backward()
        hook.remove()
        return torch.zeros(())

    class Twice(torch.nn.Module):
        def step(self, context, closure):
            losses = [closure() for _ in range(closures)]
            return losses[0]

    chosen.base = Twice()
    chosen.step(batch, closure)
    return seen


def test_both_passes_of_a_step_mix_alike_and_another_step_mixes_anew(built, context):
    chosen, net = built("mixstyle", domains=2, probability=1.0, base={"name": "ste"})
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    batch = context(net, optimizer)
    first, second = seen_by_signs(chosen, net, batch, 2)
    assert torch.equal(first, second)
    plain = net.norm0(net.fc0(batch.inputs))
    assert not torch.allclose(first, plain, atol=1e-3)
    batch.step = 1
    assert not torch.equal(seen_by_signs(chosen, net, batch)[0], first)
    batch.domains = torch.zeros(64, dtype=torch.int64)
    assert torch.allclose(seen_by_signs(chosen, net, batch)[0], plain, atol=1e-5), "one domain in a batch: nothing to mix"


def test_evaluation_never_sees_it(built, run, context):
    chosen, net = built("mixstyle", domains=2, probability=1.0, base={"name": "ste"})
    run(chosen, net)
    assert not net.sign0._forward_pre_hooks
    net.eval()
    inputs = torch.rand(8, 12)
    assert torch.equal(net(inputs)[:3], net(inputs[:3])), "an answer does not depend on the other images"
    assert chosen.state_dict() == {}


def test_it_mixes_as_often_as_it_should(built, context):
    chosen, net = built("mixstyle", domains=2, probability=0.25, base={"name": "ste"})
    batch = context(net, None)
    hooks = []
    for number in range(400):
        batch.step = number
        hooks.append(chosen._hook(batch, 0) is not None)
    assert 0.18 < np.mean(hooks) < 0.32
    assert len(built("mixstyle", domains=2, points=1, base={"name": "ste"})[0].signs) == 1
