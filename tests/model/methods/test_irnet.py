"""`irnet`: standardised bits, a power of two as scale, and a backward that sharpens with the progress."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from arbonn.model.layers import BinaryLinear
from arbonn.model.methods.irnet import power_of_two_scale, standardised
from arbonn.model.surrogates import AnnealedSign, sign

filters = arrays("float64", (3, 8), elements=st.floats(-2, 2), unique=True)


@given(filters, st.floats(0.5, 4), st.floats(-3, 3))
def test_bits_are_those_of_the_standardised_weights(w, factor, offset):
    """Any positive factor and any offset of a filter leave its bits and its scale as they are."""
    w = torch.from_numpy(w)
    w_hat, moved = standardised(w), standardised(w * factor + offset)
    if (w.std(1) > 1e-2).all():
        assert torch.allclose(w_hat.mean(1), torch.zeros(3).double(), atol=1e-9)
        assert torch.allclose(w_hat.square().mean(1), torch.ones(3).double(), atol=1e-6)
        assert torch.allclose(moved, w_hat, atol=1e-6)


@given(arrays("float32", (4, 9), elements=st.floats(-2, 2, width=32)))
def test_the_scale_is_an_exact_power_of_two(w):
    scale = power_of_two_scale(standardised(torch.from_numpy(w)))
    assert (torch.frexp(scale).mantissa == 0.5).all()


def test_gaussian_weights_have_scale_one_and_peaked_ones_a_half():
    assert (power_of_two_scale(standardised(torch.randn(8, 500))) == 1).all()
    peaked = torch.randn(8, 500) ** 5
    assert (power_of_two_scale(standardised(peaked)) <= 0.5).all()


def test_equal_weights_make_no_nan(method):
    layer = BinaryLinear(5, 3, method("irnet").binarizer)
    layer.weight.data.fill_(0.25)
    layer(torch.ones(2, 5)).sum().backward()
    assert layer.weight.grad.isfinite().all()
    assert layer.bits().all()


def test_the_gradient_flows_through_mean_and_deviation(method):
    """Against autograd of scale * f(w_hat), where f' is the tanh's slope: exact at every t."""
    chosen = method("irnet")
    layer, g = BinaryLinear(6, 3, chosen.binarizer), torch.randn(3, 6)
    for progress in (0.0, 0.5, 1.0):
        chosen.on_progress(progress)
        t, k = 10 ** (2 * progress - 1), max(10 ** (1 - 2 * progress), 1)
        layer.weight.grad = None
        layer.binarizer(layer.weight).backward(g)
        w = layer.weight.detach().clone().requires_grad_()
        w_hat = (w - w.mean(1, keepdim=True)) / w.std(1, unbiased=False, keepdim=True)
        (power_of_two_scale(w_hat) * k * torch.tanh(t * w_hat)).backward(g)
        assert torch.allclose(layer.weight.grad, w.grad, atol=1e-5)
        assert torch.allclose(layer.weight.grad.sum(1), torch.zeros(3), atol=1e-5), "a common offset of a filter changes nothing"


@pytest.mark.parametrize(("progress", "t", "k"), [(0.0, 0.1, 10.0), (0.5, 1.0, 1.0), (1.0, 10.0, 1.0), (0.25, 10**-0.5, 10**0.5)])
def test_the_annealing(progress, t, k):
    estimator = AnnealedSign()
    estimator.on_progress(progress)
    assert (float(estimator.t), float(estimator.k)) == pytest.approx((t, k))
    x = torch.linspace(-2, 2, 9).requires_grad_()
    out = estimator(x)
    out.sum().backward()
    assert torch.equal(out, sign(x.detach()))
    assert x.grad.tolist() == pytest.approx([k * t * (1 - math.tanh(t * v) ** 2) for v in x.tolist()], abs=1e-5)


def test_progress_reaches_weights_and_activations(built):
    chosen, net = built("irnet")
    chosen.on_progress(1.0)
    a = torch.full((1, 10), 0.05, requires_grad=True)
    net.sign0(a).sum().backward()
    assert a.grad[0, 0] == pytest.approx(10 * (1 - math.tanh(0.5) ** 2), rel=1e-5)
    assert chosen.state_dict() == {}
