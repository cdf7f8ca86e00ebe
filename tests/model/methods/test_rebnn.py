"""`rebnn`: the condition for a flip, the oscillation of a toy, the rules for gamma, and the gradients that are added."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from arbonn.model.methods.rebnn import gamma_of, hold_back
from arbonn.model.surrogates import sign

weights = arrays("float64", (3, 6), elements=st.floats(-1, 1))
gradients = arrays("float64", (3, 6), elements=st.floats(-5, 5))


@given(weights, gradients, arrays("float64", (3,), elements=st.floats(0, 4)), st.floats(0.01, 0.2))
def test_only_a_gradient_above_gamma_can_flip_a_weight(w, g, gamma, lr):
    """The theorem, for alpha = 1 and plain SGD with lr gamma < 1: at +1 a flip needs g > gamma, at -1 it needs g < -gamma."""
    w, g, gamma = (torch.from_numpy(array.copy()) for array in (w, g, gamma))
    w.requires_grad_()
    w.grad = g.clone()  # alpha = 1: the task's gradient of w
    b = sign(w.detach())
    hold_back(w, torch.ones(3).double(), gamma)
    stepped = (w - lr * w.grad).detach()
    flipped = sign(stepped) != b
    far = stepped.abs() > 1e-9  # at 0 itself rounding decides
    assert ((b * g > gamma[:, None]) | ~flipped | ~far).all()


def toy(rule: str | None, steps: int) -> int:
    """Flips of one weight under L = 1/2 (b - 0.3)^2, alpha fixed at 1, SGD 0.05."""
    w = torch.full((1, 1), 0.02, requires_grad=True)
    alpha, before, flips = torch.ones(1), torch.ones(1, 1, dtype=torch.bool), 0
    for _ in range(steps):
        g = sign(w.detach()) - 0.3
        w.grad = g.clone()
        bits = w.detach() >= 0
        flips += int((bits != before).sum())
        if rule is not None:
            hold_back(w, alpha, gamma_of(rule, (bits != before).float().flatten(), g))
        before = bits
        w.data -= 0.05 * w.grad
    return flips


def test_the_toy_flips_as_often_as_the_theory_says():
    """Of 20000 steps: about 14000 flips with ste and const, 8300 with the adaptive rule, none with the bound."""
    count = {rule: toy(rule, 4000) for rule in (None, "const", "adaptive", "max")}
    assert count[None] == pytest.approx(2800, rel=0.02)
    assert count["const"] == pytest.approx(2800, rel=0.02)
    assert count["adaptive"] == pytest.approx(1660, rel=0.03)
    assert count["max"] == 0


@given(arrays("float32", (3,), elements=st.floats(0, 1, width=32)), gradients)
def test_the_rules_for_gamma(share, g):
    share, g = torch.from_numpy(share.copy()), torch.from_numpy(g.copy()).float()
    largest = g.abs().max(1).values
    assert torch.equal(gamma_of("adaptive", share, g), share * largest)
    assert torch.equal(gamma_of("max", share, g), largest)
    assert torch.equal(gamma_of("const", share, g), torch.full((3,), 2e-4))
    clamped = gamma_of("adaptive-clamped", share, g)
    assert ((clamped >= 1e-5) & (clamped <= 2e-4)).all()
    inside = (share * largest > 1e-5) & (share * largest < 2e-4)
    assert torch.equal(clamped[inside], (share * largest)[inside])
    assert gamma_of("adaptive-clamped", torch.tensor([0.5]), torch.tensor([[1e-4, -2e-4]])).item() == pytest.approx(1e-4)


@given(weights, arrays("float64", (3,), elements=st.floats(0.1, 2)), arrays("float64", (3,), elements=st.floats(0, 3)))
def test_what_is_added_are_the_gradients_of_the_weighted_reconstruction(w, alpha, gamma):
    pairs = []
    for _ in range(2):
        pairs.append([torch.from_numpy(array.copy()).requires_grad_() for array in (w, alpha * [1, -1, 1])])
    gamma = torch.from_numpy(gamma)
    for tensor in pairs[0]:
        tensor.grad = torch.zeros_like(tensor)
    hold_back(*pairs[0], gamma)
    w, alpha = pairs[1]
    gap = w - alpha.abs()[:, None] * sign(w.detach())
    (0.5 * gamma[:, None] * gap.square()).sum().backward()
    for ours, theirs in zip(*pairs, strict=True):
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-9)


def test_a_step_by_hand(built, context):
    """For one batch: the task's gradients of ste, and to them gamma of this batch's g and of the last step's flips."""
    chosen, net = built("rebnn")
    plain, other = built("ste")
    chosen.before0[3] = ~chosen.before0[3]  # as if the last step had flipped a whole filter,
    chosen.before0[5, :6] = ~chosen.before0[5, :6]  # and half of another
    optimizers = [torch.optim.SGD(part.parameters(), lr=0.1) for part in (net, other)]
    for part in (other.fc0, other.fc1):
        part.quantizer.record = True
    for optimizer, method, model in zip(optimizers, (chosen, plain), (net, other), strict=True):
        batch = context(model, optimizer)

        def closure(model=model, optimizer=optimizer, batch=batch) -> torch.Tensor:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(batch.inputs), batch.labels)
            loss.backward()
            return loss.detach()

        method.step(batch, closure)
    share = torch.zeros(10)
    share[3], share[5] = 1.0, 0.5
    gamma = share * other.fc0.quantizer.grad.abs().max(1).values
    start = built("ste")[1].fc0
    gap = start.weight.detach() - start.binarizer.alpha.detach()[:, None] * sign(start.weight.detach())
    assert torch.allclose(net.fc0.weight.grad, other.fc0.weight.grad + gamma[:, None] * gap, atol=1e-7)
    assert torch.equal(net.fc1.weight, other.fc1.weight), "no flips there, no term"
    assert chosen.measures()["flip_share"] == pytest.approx(1.5 / 14)
    assert chosen.measures()["gamma"] == pytest.approx(float(gamma.sum()) / 14, rel=1e-5)
    assert torch.equal(chosen.before0, start.weight >= 0)


def test_the_bound_freezes_every_bit_and_const_does_not(built, run):
    for rule, frozen in (("max", True), ("const", False)):
        chosen, net = built("rebnn", gamma=rule)
        net.fc0.binarizer.alpha.data.fill_(1.0)
        net.fc1.binarizer.alpha.data.fill_(1.0)
        net.fc0.binarizer.alpha.requires_grad_(False)
        net.fc1.binarizer.alpha.requires_grad_(False)
        before = net.fc0.bits(), net.fc1.bits()
        run(chosen, net, 30)
        same = torch.equal(net.fc0.bits(), before[0]) and torch.equal(net.fc1.bits(), before[1])
        assert same == frozen


def test_after_a_resume_the_flip_share_is_the_same(built, run):
    chosen, net = built("rebnn")
    run(chosen, net, 4)
    chosen.before0[:3] = ~chosen.before0[:3]  # so that the last step did flip
    kept = copy.deepcopy((chosen.state_dict(), net.state_dict()))
    whole = run(chosen, net, 1, first=4), chosen.measures()
    chosen, net = built("rebnn")
    chosen.load_state_dict(kept[0])
    net.load_state_dict(kept[1])
    again = run(chosen, net, 1, first=4), chosen.measures()
    assert again[1] == whole[1]
    assert whole[1]["flip_share"] > 0.2
    assert all(torch.equal(one, other) for one, other in zip(whole[0], again[0], strict=True))
    assert set(chosen.state_dict()) == {"before0", "before1"}
