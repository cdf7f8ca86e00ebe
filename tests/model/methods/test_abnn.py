"""`abnn` and the norm-free block: the scale has a real gradient, and s changes no bit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from arbonn.model.layers import BinaryLinear, SignActivation
from arbonn.model.methods.abnn import SigmoidSign
from arbonn.model.methods.irnet import standardised
from arbonn.model.networks.mlp import mlp
from arbonn.model.norm_free import QuantizedPRelu, Sharpened
from arbonn.model.recipe import NetworkConfig
from arbonn.model.surrogates import BiRealSign, sign


def test_the_signs_slope_is_that_of_the_sigmoid():
    x, y = (torch.linspace(-3, 3, 61).requires_grad_() for _ in range(2))
    SigmoidSign.apply(x).sum().backward()
    (2 * torch.sigmoid(3 * y)).sum().backward()
    assert torch.allclose(x.grad, y.grad, atol=1e-6)


def test_weights_are_standardised_and_scaled_by_their_magnitude_and_a_gain(method):
    layer = BinaryLinear(16, 3, method("abnn").binarizer)
    layer.binarizer.gain.data = torch.tensor([1.0, -2.0, 0.5])
    w_hat = standardised(layer.weight.detach()) / 4
    expected = torch.tensor([1.0, 2.0, 0.5])[:, None] * w_hat.abs().mean(1, keepdim=True) * sign(w_hat)
    assert torch.allclose(layer.effective_weight(), expected)
    g = torch.randn(3, 16)
    layer.binarizer(layer.weight).backward(g)
    assert torch.allclose(layer.weight.grad.sum(1), torch.zeros(3), atol=1e-5), "through the mean"
    along = w_hat.abs().mean(1) * (g * sign(w_hat)).sum(1) * torch.tensor([1.0, -1.0, 1.0])
    assert torch.allclose(layer.binarizer.gain.grad, along, atol=1e-5)


@given(arrays("float32", (4, 6), elements=st.floats(-3, 3, width=32)), st.floats(0.01, 10))
def test_s_alters_the_gradient_and_no_bit(a, variance):
    a = torch.from_numpy(a)
    sharp = SignActivation(6, Sharpened(BiRealSign.apply, variance))
    plain = SignActivation(6)
    for sign_ in (sharp, plain):
        sign_.beta.data = torch.linspace(-1, 1, 6)
    assert torch.equal(sharp(a), plain(a))
    x = torch.full((1, 6), 0.05, requires_grad=True)
    Sharpened(BiRealSign.apply, 1 / 16)(x).sum().backward()
    assert torch.allclose(x.grad, torch.full((1, 6), 4 * (2 - 2 * 0.2)))


@given(arrays("float32", (3,), elements=st.floats(-6, 1, width=32)))
def test_slopes_are_powers_of_two_with_a_straight_through_gradient(p):
    act = QuantizedPRelu(3)
    act.p.data = torch.from_numpy(p.copy())
    act.m1.data, act.m2.data = torch.tensor([0.5, 0.0, -0.5]), torch.tensor([0.0, 1.0, 0.0])
    out = act(torch.full((1, 3), -4.0))
    power = act.p.detach().round()
    assert torch.allclose(out[0], (-1 + act.m1) * 2.0**power + act.m2)
    out.sum().backward()
    assert torch.allclose(act.p.grad, (-1 + act.m1.detach()) * 2.0**power * torch.log(torch.tensor(2.0)), rtol=1e-4)
    assert QuantizedPRelu(1).p.item() == -3


@pytest.mark.parametrize("name", ["ste", "rbonn", "rebnn"])
def test_without_a_norm_the_scale_has_a_real_gradient(method, name):
    """methods.md, fact 2: zero behind BatchNorm; in a norm-free block it is not."""
    for block, real in (("bn", False), ("nf", True)):
        torch.manual_seed(0)
        chosen = method(name)
        net = mlp(NetworkConfig(sizes=(8,), block=block), 12, 4, chosen)
        if not real:
            net.norm0.eps = 1e-12
        net.fc0.quantizer.record = True
        nn.functional.cross_entropy(net(torch.randn(64, 12)), torch.randint(4, (64,))).backward()
        share = net.fc0.binarizer.alpha.grad.abs().max() / net.fc0.quantizer.grad.abs().sum()
        assert (share > 1e-3) == real
        assert (share < 1e-5) != real


def test_a_norm_free_net_has_no_norm(method):
    net = mlp(NetworkConfig(sizes=(8, 8), block="nf"), 12, 4, method("abnn"))
    assert not [module for module in net.modules() if isinstance(module, nn.modules.batchnorm._NormBase)]
    net.train()
    x = torch.rand(5, 12)
    assert torch.equal(net(x), net.eval()(x)), "nothing depends on the batch"
