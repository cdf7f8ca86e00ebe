"""`sam`: what each mode perturbs, that it is put back, and that the base steps on the second pass."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from arbonn.model.layers import BinaryLinear
from arbonn.model.surrogates import sign


def one_layer(method, context, mode: str, **options):
    """(method, net, batch, dL/dW as a function of W): logits = x W^T, no norm, cross entropy."""
    torch.manual_seed(0)
    chosen = method("sam", mode=mode, rho=0.5, base={"name": "ste", "weight_clip": False}, **options)
    net = nn.Sequential(BinaryLinear(12, 4, chosen.binarizer))
    chosen.prepare(net, 1, 64)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    batch = context(net, optimizer)

    def gradient(weight: torch.Tensor) -> torch.Tensor:
        weight = weight.clone().requires_grad_()
        nn.functional.cross_entropy(batch.inputs @ weight.T, batch.labels).backward()
        return weight.grad

    return chosen, net, batch, gradient


@pytest.mark.parametrize("relative", [False, True])
def test_effective_by_hand(method, step, context, relative):
    chosen, net, batch, gradient = one_layer(method, context, "effective", rho_mode="relative" if relative else "absolute")
    w, alpha = net[0].weight.detach().clone(), net[0].binarizer.alpha.detach().clone()
    effective = alpha[:, None] * sign(w)
    g = gradient(effective)
    moved = gradient(effective + 0.5 * (effective.norm() if relative else 1) * g / g.norm())
    step(chosen, net, batch.optimizer, batch)
    assert torch.allclose(net[0].weight, w - 0.1 * alpha[:, None] * moved, atol=1e-6)
    assert torch.allclose(net[0].binarizer.alpha, alpha - 0.1 * (moved * sign(w)).sum(1), atol=1e-6)
    assert net[0].quantizer.perturbation is None
    assert net[0].quantizer.grad is None


def test_latent_by_hand(method, step, context):
    chosen, net, batch, gradient = one_layer(method, context, "latent")
    w, alpha = net[0].weight.detach().clone(), net[0].binarizer.alpha.detach().clone()
    g = alpha[:, None] * gradient(alpha[:, None] * sign(w))
    there = w + 0.5 * g / g.norm()
    assert not torch.equal(sign(there), sign(w))
    moved = gradient(alpha[:, None] * sign(there))
    step(chosen, net, batch.optimizer, batch)
    assert torch.allclose(net[0].weight, w - 0.1 * alpha[:, None] * moved, atol=1e-6), "from w, not from the perturbed place"
    assert torch.allclose(net[0].binarizer.alpha, alpha - 0.1 * (moved * sign(there)).sum(1), atol=1e-6)


def test_effective_sam_is_arbonns_first_part(built, run):
    """ARBONN with every other part off steps as effective SAM around RBONN without its recurrence."""
    off = {"tau_f": 1.0, "domain_norm": False, "di_weight": 0.0, "recon": 0.0, "u_start": 0.0, "u_lr": 0.0}
    plain = {"name": "rbonn", "recon_weight": 0.0, "u_start": 0.0, "u_lr": 0.0}
    one, other = run(*built("arbonn", **off, rho=0.3)), run(*built("sam", rho=0.3, base=plain))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("mode", ["latent", "effective"])
def test_statistics_move_once_and_a_recording_base_sees_the_second_gradient(built, context, mode):
    chosen, net = built("sam", mode=mode, rho=2.0, base={"name": "rebnn", "weight_clip": False})
    for number in range(2):
        before = getattr(chosen.base, f"before{number}")
        before.copy_(~before)  # every weight counts as flipped: gamma = max |g|
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    batch, passes = context(net, optimizer), []
    fresh = copy.deepcopy(net)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(batch.inputs), batch.labels)
        loss.backward()
        alpha = net.fc0.binarizer.alpha.detach().abs()[:, None]
        assert torch.allclose(net.fc0.weight.grad, alpha * net.fc0.quantizer.grad, atol=1e-6), "recorded is this pass alone"
        passes.append(net.fc0.quantizer.grad.abs().amax(1).clone())
        return loss.detach()

    net.train()
    chosen.step(batch, closure)
    fresh.train()(batch.inputs)
    assert torch.equal(net.norm0.running_mean, fresh.norm0.running_mean)
    assert len(passes) == 2
    assert not torch.equal(*passes)
    assert torch.equal(chosen.base.last["gamma"][:10], passes[1])


def test_the_base_keeps_its_hooks_and_its_state(built, run):
    chosen, net = built("sam", base={"name": "rbonn", "u_start": 0.05, "u_max": 0.1})
    run(chosen, net)
    assert set(chosen.state_dict()) == {f"base.recurrences.{n}.{name}" for n in range(2) for name in ("u", "previous")}
    assert set(chosen.measures()) == {"u", "selected"}
    assert float(built("sam", base={"name": "irnet"})[0].activation.t) == pytest.approx(0.1)
