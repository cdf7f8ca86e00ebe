"""`biper`: bits of a sine, the gradient of the sine, and two stages."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from arbonn.model.layers import BinaryLinear
from arbonn.model.methods.biper import PeriodicSign, normalised_sign
from arbonn.model.surrogates import BiRealSign


@given(st.integers(-5, 5), st.floats(0.01, 0.99))
def test_a_bit_flips_at_every_multiple_of_pi_over_f(turn, inside):
    w = torch.tensor([(turn + inside) * math.pi / 20], dtype=torch.float64)
    assert PeriodicSign.apply(w, 20.0).item() == (1 if turn % 2 == 0 else -1)


@given(arrays("float64", (3, 5), elements=st.floats(-1, 1)), st.floats(1, 40))
def test_the_gradient_is_that_of_the_sine(w, f):
    ours, theirs = (torch.from_numpy(w.copy()).requires_grad_() for _ in range(2))
    g = torch.arange(15, dtype=torch.float64).view(3, 5)
    PeriodicSign.apply(ours, f).backward(g)
    torch.sin(f * theirs).backward(g)
    assert torch.allclose(ours.grad, theirs.grad)


def test_the_gain_is_learnt_and_bits_are_those_of_the_sine(method):
    layer = BinaryLinear(5, 3, method("biper").binarizer)
    w = layer.weight.data = torch.rand(3, 5)
    layer.binarizer.gain.data *= torch.tensor([1.0, -1.0, 2.0])
    assert torch.equal(layer.bits(), torch.sin(20 * w) >= 0)
    assert not torch.equal(layer.bits(), w >= 0)
    layer.binarizer(layer.weight).sum().backward()
    bits = layer.bits().float() * 2 - 1
    assert torch.allclose(layer.binarizer.gain.grad, bits.sum(1) * torch.tensor([1.0, -1.0, 1.0]))


def test_stage_one_trains_real_weights_and_is_evaluated_on_bits(built):
    chosen, net = built("biper", stage_one=0.5)
    layer = net.fc0
    for t, real in ((0.0, True), (0.49, True), (0.5, False), (1.0, False)):
        chosen.on_progress(t)
        weight = layer.binarizer(layer.weight)
        magnitudes = weight.detach().abs()
        assert torch.allclose(magnitudes, layer.binarizer.gain.abs()[:, None].expand(10, 12)) != real
        assert torch.equal(layer.effective_weight().abs(), layer.binarizer.gain.detach().abs()[:, None].expand(10, 12))
    chosen.on_progress(0.0)
    wave = torch.sin(20 * layer.weight)
    assert torch.equal(layer.binarizer(layer.weight), layer.binarizer.gain.abs()[:, None] * wave)


def test_the_periodic_term(built):
    chosen, net = built("biper", tau_reg=0.5)
    expected = sum(torch.sin(20 * layer.weight).square().mean() for layer in (net.fc0, net.fc1))
    assert torch.allclose(chosen.loss_terms(None)["periodic"], 0.5 * expected)
    assert built("biper")[0].loss_terms(None) == {}


@given(arrays("float32", (4, 6), elements=st.floats(-3, 3, width=32)))
def test_normalising_activations_changes_gradients_but_no_bit(x):
    plain, normal = (torch.from_numpy(x.copy()).requires_grad_() for _ in range(2))
    assert torch.equal(normalised_sign(normal), BiRealSign.apply(plain))


def test_the_surrogate_sees_activations_over_their_deviation(built):
    _, net = built("biper", normalise=True)
    x = (torch.randn(2, 10) * 5).requires_grad_()
    net.sign0(x).sum().backward()
    deviation = x.detach().std(1, unbiased=False, keepdim=True)
    expected = (2 - 2 * (x.detach() / deviation).abs()).clamp(min=0) / deviation
    assert torch.allclose(x.grad, expected, atol=1e-6)
