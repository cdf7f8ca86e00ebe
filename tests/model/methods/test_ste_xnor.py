"""`ste-xnor`: `ste` with a scale that is computed, and through which nothing flows."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from arbonn.model.layers import BinaryLinear
from arbonn.model.methods.binarizers import ScaledSign
from arbonn.model.surrogates import sign

filters = arrays("float32", (3, 5), elements=st.floats(-2, 2, width=32))


def layer_of(method, **options) -> BinaryLinear:
    return BinaryLinear(5, 3, method("ste-xnor", **options).binarizer)


@given(w=filters)
def test_the_scale_is_the_mean_magnitude_and_the_bits_are_the_signs(w):
    from arbonn.model.methods.ste_xnor import SteXnor

    layer = BinaryLinear(5, 3, SteXnor(SteXnor.Config(name="ste-xnor")).binarizer)
    layer.weight.data = torch.from_numpy(w.copy())
    assert torch.equal(layer.effective_weight(), layer.weight.abs().mean(1, keepdim=True) * sign(layer.weight))


def test_the_gradient_is_that_of_ste_with_the_scale_held(method):
    layer, g = layer_of(method), torch.randn(3, 5)
    layer.weight.data *= 4  # some outside [-1, 1]
    layer.binarizer(layer.weight).backward(g)
    w = layer.weight.detach().clone().requires_grad_()
    ScaledSign.apply(w, w.detach().abs().mean(1), 1.0, "true").backward(g)
    assert torch.equal(layer.weight.grad, w.grad)
    outside = w.abs() > 1
    assert outside.any()
    assert (layer.weight.grad[outside] == 0).all()
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


def test_without_the_clip_every_weight_gets_its_gradient(method):
    layer, g = layer_of(method, weight_clip=False), torch.randn(3, 5)
    layer.weight.data *= 100
    layer.binarizer(layer.weight).backward(g)
    assert torch.allclose(layer.weight.grad, layer.weight.detach().abs().mean(1, keepdim=True) * g)
