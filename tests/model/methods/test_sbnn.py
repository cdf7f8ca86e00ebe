"""`sbnn`: two values a layer, the integer form of its dot product, the penalty, and starts that are sparse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from arbonn.errors import RecipeError
from arbonn.model.methods.base import Context
from arbonn.model.methods.binarizers import TwoValues, best_values, quantile_shift
from arbonn.model.surrogates import sign

matrices = arrays("float64", (3, 7), elements=st.floats(-2, 2))
repeated = arrays("float32", st.tuples(st.integers(1, 4), st.integers(1, 8)), elements=st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5]))


def two_values(scale: float, shift: float, fan_in: int | None = None, bits: int = 4, general: bool = True) -> TwoValues:
    made = TwoValues(None, general, bits, fan_in)
    made.scale.data.fill_(scale)
    made.shift.data.fill_(shift)
    return made


@given(scale=st.floats(-2, 2).filter(lambda v: abs(v) > 0.01), shift=st.floats(-4, 4), data=st.data())
def test_the_constrained_dot_product_is_one_integer(scale, shift, data):
    """x W^T = scale/2^f * (2^(f+1) S1 + (q - 2^f) S0) for bits x, S1 over the ones, S0 over all."""
    w = torch.from_numpy(data.draw(matrices))
    x = torch.from_numpy(data.draw(arrays("int64", (5, 7), elements=st.sampled_from([-1, 1])))).double()
    made = two_values(scale, shift).double()
    q, b = int(made.quantised_shift()), made.bits(w).double()
    with torch.no_grad():
        product = x @ made(w).T
    s1, s0 = x @ b.T, x.sum(1, keepdim=True)
    integer = 2**5 * s1 + (q - 2**4) * s0
    assert torch.equal(integer, integer.round())
    assert torch.allclose(product, scale / 2**4 * integer, atol=1e-9)
    assert abs(q) <= 2**4


def test_with_a_negative_scale_the_ones_are_the_smaller_value():
    w = torch.randn(4, 6)
    with torch.no_grad():
        assert torch.equal(two_values(-0.5, 0.125)(w), torch.where(w >= 0, -0.375, 0.625))


@given(matrices.filter(lambda w: (w >= 0).any() and (w < 0).any()))
def test_the_closed_form_of_the_best_values_beats_every_neighbour(w):
    w = torch.from_numpy(w)
    scale, shift = best_values(w, w >= 0)

    def error(scale: torch.Tensor, shift: torch.Tensor) -> float:
        return float((w - scale * sign(w) - shift).square().sum())

    least = error(scale, shift)
    assert all(
        error(scale + a, shift + b) >= least - 1e-9
        for a in np.linspace(-0.5, 0.5, 11)
        for b in np.linspace(-0.5, 0.5, 11)
    )  # fmt: skip


def test_the_best_values_of_equal_bits_stay_bipolar():
    scale, shift = best_values(torch.tensor([[1.0, 3.0]]), torch.tensor([[True, True]]))
    assert (scale.item(), shift.item()) == (2.0, 0.0)


@given(repeated, st.floats(0.01, 0.99))
def test_the_quantile_start_has_at_most_its_share_of_ones(w, share):
    w = torch.from_numpy(w)
    ones = int((w - quantile_shift(w, share) >= 0).sum())
    assert ones <= int(share * w.numel())
    distinct = torch.randn(6, 9)
    assert int((distinct - quantile_shift(distinct, share) >= 0).sum()) == int(share * 54)


def test_the_quantile_start_of_a_net(built):
    chosen, _ = built("sbnn", init="quantile", ec=0.25)
    assert 0 < chosen.measures()["ones"] <= 0.25
    assert chosen.loss_terms(batch(torch.tensor(1.0)))["sparsity"] == 0


def batch(loss: torch.Tensor) -> Context:
    return Context(None, None, None, None, None, 1, 0, 0, 0.1, loss)


@given(st.floats(0.01, 10), st.sampled_from([0.02, 0.07, 0.5]))
def test_the_penaltys_value_is_a_share_of_the_loss_and_its_gradient_is_even(loss, gamma):
    from arbonn.model.methods.sbnn import Sbnn
    from arbonn.model.networks.mlp import mlp
    from arbonn.model.recipe import NetworkConfig

    chosen = Sbnn(Sbnn.Config(name="sbnn", gamma=gamma, ec=0.1))
    net = mlp(NetworkConfig(sizes=(10,)), 12, 4, chosen)
    chosen.prepare(net, 1, 64)
    task = torch.tensor(loss, requires_grad=True)
    term = chosen.loss_terms(batch(task))["sparsity"]
    assert term.item() == pytest.approx(gamma / (1 - gamma) * loss, rel=1e-4)
    term.backward()
    assert task.grad is None, "lambda is detached"
    ones = sum(int(layer.bits().sum()) for layer in chosen.layers)
    slope = term.item() / (ones / 160 - 0.1) / 160
    for layer in chosen.layers:
        assert torch.allclose(layer.weight.grad, torch.full_like(layer.weight, slope), rtol=1e-4)


def test_no_penalty_without_gamma_or_without_excess(built):
    assert built("sbnn", gamma=0.0)[0].loss_terms(batch(torch.tensor(1.0))) == {}
    chosen, _ = built("sbnn", ec=0.9)
    assert chosen.loss_terms(batch(torch.tensor(1.0)))["sparsity"] == 0


@given(arrays("float64", (4, 9), elements=st.floats(-2, 2)), st.integers(1, 9))
def test_fan_in_keeps_the_largest_ones_of_each_filter(w, most):
    w = torch.from_numpy(w)
    made = two_values(1.0, 0.0, fan_in=most)
    bits = made.bits(w)
    assert int(bits.sum(1).max()) <= most
    for row, kept in zip(w, bits, strict=True):
        assert int(kept.sum()) == min(most, int((row >= 0).sum()))
        dropped = row[(row >= 0) & ~kept]
        assert not dropped.numel() or dropped.max() <= row[kept].min()
    with torch.no_grad():
        assert torch.equal(made(w) > 0, bits)


def test_gradients_of_both_values_and_of_weights(built):
    chosen, net = built("sbnn", fan_in=3)
    layer, g = net.fc0, torch.randn(10, 12)
    chosen.on_progress(0.5)  # t = k = 1
    layer.binarizer(layer.weight).backward(g)
    w = layer.weight.detach()
    b = layer.bits().float() * 2 - 1
    assert torch.allclose(layer.binarizer.scale.grad, (g * b).sum(), atol=1e-5)
    assert torch.allclose(layer.binarizer.shift.grad, g.sum(), atol=1e-5)
    assert torch.allclose(layer.weight.grad, g * (1 - torch.tanh(w).square()), atol=1e-6), "not standardised; fan_in drops no gradient"
    chosen, net = built("sbnn", backward="ste")
    net.fc0.weight.data *= 10
    net.fc0.binarizer(net.fc0.weight).backward(g)
    assert torch.equal(net.fc0.weight.grad, g * (net.fc0.weight.abs() <= 1))


def test_the_shift_is_rounded_late_in_training_and_in_every_evaluation(built):
    chosen, net = built("sbnn", shift_bits=4)
    binarizer, w = net.fc0.binarizer, net.fc0.weight
    binarizer.scale.data.fill_(0.5)
    binarizer.shift.data.fill_(0.27)
    rounded = torch.where(w.detach() >= 0, 0.78125, -0.21875)  # q = round(0.54 * 16) = 9: shift 0.28125
    free = 0.5 * sign(w.detach()) + 0.27
    chosen.on_progress(0.5)
    assert torch.equal(binarizer(w), free)
    assert torch.equal(net.fc0.effective_weight(), rounded)
    chosen.on_progress(0.7)
    weight = binarizer(w)
    assert torch.allclose(weight, rounded)
    weight.sum().backward()
    assert binarizer.shift.grad.item() == 120, "straight through"
    binarizer.shift.data.fill_(7.0)
    assert binarizer.quantised_shift() == 16
    binarizer.scale.data.fill_(0.0)
    binarizer.shift.data.fill_(0.0)
    assert net.fc0.effective_weight().isfinite().all()


def test_the_bipolar_domain_has_no_shift(built, run):
    chosen, net = built("sbnn", domain="bipolar", values="means")
    run(chosen, net)
    assert net.fc0.binarizer.shift == 0
    assert len(chosen.param_groups(net)[1]["params"]) == 2


def test_the_values_learn_slowly_and_weights_are_clamped(built, run):
    chosen, net = built("sbnn")
    assert [group["lr_scale"] for group in chosen.param_groups(net)] == [1.0, 0.2]
    assert len(chosen.param_groups(net)[1]["params"]) == 4
    net.fc0.weight.data *= 100
    run(chosen, net)
    assert net.fc0.weight.abs().max() == 1.5


def test_values_may_start_at_the_least_squares_ratio(built):
    _, net = built("sbnn", init="quantile", ec=0.3, values="means")
    scale, shift = best_values(net.fc0.weight.detach(), net.fc0.bits())
    assert net.fc0.binarizer.scale == 1
    assert net.fc0.binarizer.shift.item() == pytest.approx(float(shift / scale))
    assert shift < 0


@pytest.mark.parametrize("ec", [0.0, 1.0, -0.5])
def test_a_share_of_ones_outside_its_range_is_refused(method, ec):
    with pytest.raises(RecipeError, match=r"^RecipeError: test: ec: "):
        method("sbnn", ec=ec)
