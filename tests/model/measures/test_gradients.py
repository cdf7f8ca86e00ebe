"""The share of the gradient that reaches the filters with the least weights."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from arbonn.model.layers import BinaryLinear, binary_layers
from arbonn.model.measures.gradients import SparseGradients
from arbonn.model.methods.binarizers import LearnableScale


def test_a_fifth_of_the_filters_by_the_weights_before_the_step():
    net = nn.Sequential(BinaryLinear(3, 10, lambda layer: LearnableScale(layer.weight)))
    layer = net[0]
    layer.weight.data = torch.arange(1.0, 11).view(10, 1).expand(10, 3).clone()
    measure = SparseGradients(SimpleNamespace(layers=binary_layers(net)))
    layer.weight.grad = torch.ones(10, 3)
    layer.weight.grad[:2] = -4
    layer.weight.data = layer.weight.data.flip(0)  # the step: from now on the last two are the sparsest
    measure.update()
    assert measure.epoch() == {"sparse_gradient": pytest.approx(24 / 48), "sparse_gradient/0": pytest.approx(24 / 48)}
    state = measure.state_dict()
    measure.update()
    assert measure.epoch()["sparse_gradient"] == pytest.approx((24 + 6) / 96)
    resumed = SparseGradients(SimpleNamespace(layers=binary_layers(net)))
    resumed.load_state_dict(state)
    resumed.update()
    assert resumed.epoch() == measure.epoch()
