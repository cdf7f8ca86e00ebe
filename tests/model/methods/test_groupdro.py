"""`groupdro`: shares follow exp(eta * loss), stay normalised, and are those of the first pass."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from arbonn.errors import RecipeError


def domain_losses(logits: torch.Tensor, batch, count: int) -> torch.Tensor:
    return torch.stack([cross_entropy(logits[batch.domains == d], batch.labels[batch.domains == d]) for d in range(count)])


@pytest.mark.parametrize("domains", [2, 4])
def test_shares_follow_the_sum_of_losses(built, context, domains):
    chosen, net = built("groupdro", domains=domains, eta=0.3, base={"name": "ste"})
    total = torch.zeros(domains)
    for number in range(5):
        batch = context(net, torch.optim.SGD(net.parameters(), lr=0.0), number, domains)
        logits = torch.randn(64, 4, generator=torch.Generator().manual_seed(number)) * (1 + number)
        chosen.first = True
        loss = chosen.task_loss(batch, logits)
        each = domain_losses(logits, batch, domains)
        total += each
        q = (0.3 * total).softmax(0)  # exp(eta * sum of losses), normalised
        assert torch.allclose(chosen.log_q.exp(), q, atol=1e-6)
        assert float(chosen.log_q.exp().sum()) == pytest.approx(1)
        assert float(loss) == pytest.approx(float(q @ each), rel=1e-5)
        assert torch.equal(chosen.task_loss(batch, logits), loss), "a second pass uses the shares of the first"


def test_the_gradient_is_that_of_a_weighted_mean(built, context):
    chosen, net = built("groupdro", domains=2, eta=5.0, base={"name": "ste"})
    batch = context(net, torch.optim.SGD(net.parameters(), lr=0.0))
    logits = torch.randn(64, 4, requires_grad=True)
    chosen.first = True
    (found,) = torch.autograd.grad(chosen.task_loss(batch, logits), logits)
    (expected,) = torch.autograd.grad(chosen.log_q.exp() @ domain_losses(logits, batch, 2), logits)
    assert torch.allclose(found, expected)


def test_without_eta_it_is_the_mean_over_images(built, context):
    chosen, net = built("groupdro", domains=4, eta=0.0, base={"name": "ste"})
    batch = context(net, torch.optim.SGD(net.parameters(), lr=0.0), domains=4)
    logits = torch.randn(64, 4)
    chosen.first = True
    assert float(chosen.task_loss(batch, logits)) == pytest.approx(float(cross_entropy(logits, batch.labels)), rel=1e-6)
    assert torch.allclose(chosen.log_q, torch.full((4,), -math.log(4)))


@given(st.integers(0, 2))
def test_a_domain_that_is_absent_keeps_its_weight_against_the_others_start(absent):
    from types import SimpleNamespace

    from arbonn.model.methods.base import Context
    from arbonn.model.methods.groupdro import GroupDro
    from arbonn.settings import parse

    chosen = GroupDro(parse({"name": "groupdro", "eta": 1.0, "base": {"name": "ste"}}, GroupDro.Config, "test"))
    chosen.prepare(torch.nn.Sequential(), 3, 6)
    domains = torch.tensor([d for d in range(3) if d != absent] * 3)
    labels = torch.zeros(6, dtype=torch.int64)
    logits = torch.randn(6, 2, requires_grad=True)
    batch = Context(None, SimpleNamespace(), torch.zeros(6, 1), labels, domains, 3, 0, 0, 0.1)
    chosen.first = True
    chosen.task_loss(batch, logits).backward()
    assert torch.isfinite(logits.grad).all()
    losses = torch.zeros(3)
    for d in range(3):
        if d != absent:
            losses[d] = cross_entropy(logits[domains == d], labels[domains == d]).detach()
    assert torch.allclose(chosen.log_q.exp(), losses.softmax(0), atol=1e-6)


def test_kd_around_it_is_refused(recipe):
    with pytest.raises(RecipeError) as caught:
        recipe(method={"name": "kd", "base": {"name": "groupdro", "base": {"name": "ste"}}})
    assert str(caught.value) == (
        "RecipeError: test: method.base.name: `kd` and `groupdro` do not compose: kd's loss takes the place of the domains' losses\n"
        "  allowed  wrappers around one weight binarizer, each wrapper once\n"
        "  fix      put groupdro around kd"
    )


def test_its_state_is_the_shares(built, run):
    chosen, net = built("groupdro", domains=2, eta=0.5, base={"name": "ste"})
    run(chosen, net)
    assert set(chosen.state_dict()) == {"log_q"}
    assert 0.5 < chosen.measures()["worst_domain_share"] < 1
