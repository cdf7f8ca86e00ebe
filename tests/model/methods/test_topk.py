"""`topk`: signs of the largest weights of each filter, a gradient for all of them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from arbonn.errors import RecipeError
from arbonn.model.layers import BinaryLinear, binary_layers
from arbonn.model.methods.binarizers import LargestSigns
from arbonn.model.networks.mlp import mlp
from arbonn.model.recipe import NetworkConfig
from arbonn.model.surrogates import sign

filters = arrays("float32", (3, 7), elements=st.floats(-2, 2, width=32))


@given(w=filters, fan_in=st.integers(1, 7))
def test_as_many_as_asked_for_are_kept_and_none_that_is_left_out_is_larger(w, fan_in):
    w = torch.from_numpy(w.copy())
    chosen = LargestSigns(fan_in)
    kept = chosen.bits(w)
    assert (kept.sum(1) == fan_in).all()
    assert torch.equal(chosen(w)[kept], (sign(w) * chosen.scale)[kept])
    assert (chosen(w)[~kept] == 0).all()
    for row, mask in zip(w.abs(), kept, strict=True):
        assert mask.all() or row[mask].min() >= row[~mask].max()


def test_every_weight_inside_the_clip_has_its_gradient_and_the_scale_is_a_power_of_two():
    w, g = (2 * torch.randn(4, 9)).requires_grad_(), torch.randn(4, 9)
    LargestSigns(2)(w).backward(g)
    assert torch.equal(w.grad, g * (w.abs() <= 1))
    assert [LargestSigns(fan_in).scale for fan_in in (1, 2, 4, 6, 64, 200)] == [1, 1, 0.5, 0.5, 0.125, 0.0625]


def test_fan_in_goes_layer_by_layer_and_the_last_is_for_the_rest(method):
    layers = binary_layers(mlp(NetworkConfig(sizes=(8, 8)), 20, 4, method("topk", fan_in=[6, 3]))).values()
    assert [int(layer.bits().sum()) for layer in layers] == [8 * 6, 8 * 3, 4 * 3]


def test_no_filter_has_more_than_its_weights(method):
    assert int(BinaryLinear(5, 3, method("topk", fan_in=[6]).binarizer).bits().sum()) == 15


def test_a_weight_left_out_takes_a_place_when_it_pays(built, run):
    """The dense backward: connections change while training, and their number does not."""
    chosen, net = built("topk", fan_in=[4])
    before = [layer.bits() for layer in binary_layers(net).values()]
    run(chosen, net, steps=20)
    after = [layer.bits() for layer in binary_layers(net).values()]
    assert any((a != b).any() for a, b in zip(before, after, strict=True))
    assert [int(a.sum()) for a in after] == [int(b.sum()) for b in before]
    assert chosen.measures() == {"connections": 14 * 4}


def test_a_layer_without_connections_is_refused(recipe):
    with pytest.raises(RecipeError) as caught:
        recipe(method={"name": "topk", "fan_in": [6, 0]})
    assert str(caught.value) == "RecipeError: test: method.fan_in.1: 0\n  allowed  greater than 0"
