"""`ste`, and the facts about the scale that hold for every method with one (methods with BatchNorm and without)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from arbonn.model.layers import BinaryLinear
from arbonn.model.methods.binarizers import LearnableScale, ScaledSign
from arbonn.model.surrogates import sign

filters = arrays("float32", (3, 5), elements=st.floats(-2, 2, width=32))
scales = arrays("float32", (3,), elements=st.floats(0.125, 2, width=32))


@given(filters, scales, filters)
def test_gradients_equal_autograd_of_a_clipped_identity(w, alpha, g):
    """alpha * (sign as a constant + clip(w) - clip(w) as a constant) has the wanted forward and backward."""
    w, alpha, g = (torch.from_numpy(array.copy()) for array in (w, alpha, g))
    ours = [w.clone().requires_grad_(), alpha.clone().requires_grad_()]
    ScaledSign.apply(*ours, 1.0, "true").backward(g)
    theirs = [w.clone().requires_grad_(), alpha.clone().requires_grad_()]
    clipped = theirs[0].clamp(-1, 1)
    (theirs[1][:, None] * (sign(w) + clipped - clipped.detach())).backward(g)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-5)
    assert (ours[0].grad[w.abs() > 1] == 0).all(), "a weight outside [-1, 1] gets no task gradient"


def test_without_the_clip_every_weight_gets_its_gradient(method):
    layer = BinaryLinear(5, 3, method("ste", weight_clip=False).binarizer)
    layer.weight.data *= 100
    layer(torch.ones(2, 5)).sum().backward()
    assert torch.equal(layer.weight.grad, 2 * layer.binarizer.alpha.abs()[:, None].expand(3, 5))


def test_the_scale_starts_at_the_mean_magnitude_and_acts_by_its_own():
    w = torch.randn(3, 5)
    binarizer = LearnableScale(w)
    assert torch.equal(binarizer.alpha, w.abs().mean(1))
    binarizer.alpha.data *= -1
    out = binarizer(w)
    assert torch.equal(out, w.abs().mean(1)[:, None] * sign(w))
    out.backward(torch.ones_like(w))
    assert torch.allclose(binarizer.alpha.grad, -sign(w).sum(1)), "d|alpha| seen through |.|"


@pytest.mark.parametrize(("scale_grad", "along"), [("true", sign), ("authors", lambda w: w)])
def test_the_two_gradients_of_the_scale(scale_grad, along):
    w, g = torch.randn(3, 5), torch.randn(3, 5)
    alpha = torch.rand(3).add(0.1).requires_grad_()
    ScaledSign.apply(w, alpha, None, scale_grad).backward(g)
    assert torch.allclose(alpha.grad, (g * along(w)).sum(1), atol=1e-6)


@pytest.mark.parametrize("norm", [True, False])
def test_batchnorm_takes_the_scales_gradient_away(method, norm):
    """methods.md, facts 2 and 3: zero with BN behind the layer, autograd's without."""
    layer = BinaryLinear(12, 8, method("ste").binarizer)
    net = nn.Sequential(layer, nn.BatchNorm1d(8, eps=1e-12) if norm else nn.Identity(), nn.Linear(8, 4))
    layer.quantizer.record = True
    nn.functional.cross_entropy(net(torch.randn(64, 12)), torch.randint(4, (64,))).backward()
    g, alpha = layer.quantizer.grad, layer.binarizer.alpha
    assert torch.allclose(alpha.grad, (g * sign(layer.weight)).sum(1), atol=1e-6)
    share = alpha.grad.abs().max() / g.abs().sum()
    assert share < 1e-5 if norm else share > 1e-3
