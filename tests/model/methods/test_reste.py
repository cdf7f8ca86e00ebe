"""`reste`: the slope of a root, held near zero and cut far out, whose order follows the progress."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from arbonn.model.layers import BinaryLinear
from arbonn.model.methods.reste import PowerEstimator, PowerSign
from arbonn.model.surrogates import sign

orders = st.floats(1, 3)


@given(orders, st.floats(0.11, 1.49), st.booleans())
def test_between_floor_and_reach_the_slope_is_that_of_the_root(o, size, negative):
    x = torch.tensor([-size if negative else size], dtype=torch.float64, requires_grad=True)
    PowerSign.apply(x, torch.tensor(o, dtype=torch.float64)).backward(torch.ones(1).double())
    y = x.detach().clone().requires_grad_()
    (y.sign() * y.abs() ** (1 / o)).backward(torch.ones(1).double())
    assert x.grad.item() == pytest.approx(y.grad.item())


@given(orders, st.floats(-0.1, 0.1), st.floats(1.5001, 100))
def test_below_the_floor_the_slope_is_held_and_beyond_the_reach_there_is_none(o, small, large):
    x = torch.tensor([small, large, -large], dtype=torch.float64, requires_grad=True)
    PowerSign.apply(x, torch.tensor(o, dtype=torch.float64)).sum().backward()
    assert x.grad.tolist() == pytest.approx([0.1 ** (1 / o - 1), 0, 0])


def test_the_value_of_the_specification():
    x = torch.zeros(1, requires_grad=True)
    PowerSign.apply(x, torch.tensor(3.0)).backward()
    assert x.grad.item() == pytest.approx(4.64, abs=0.005)


def test_order_one_is_ste_on_the_reach():
    x, g = torch.linspace(-2, 2, 81), torch.randn(81)
    ours = x.clone().requires_grad_()
    PowerSign.apply(ours, torch.tensor(1.0)).backward(g)
    assert torch.allclose(ours.grad, g * (x.abs() <= 1.5))


@pytest.mark.parametrize(("t", "o"), [(0.0, 1.0), (1.0, 3.0), (0.5, 1 + 2 * (1 - math.sqrt(0.5)))])
def test_the_order_rises_from_one_to_three(t, o):
    estimator = PowerEstimator()
    estimator.on_progress(t)
    assert float(estimator.o) == pytest.approx(o)


def test_one_detached_scale_a_layer_and_the_share_above_the_floor(built):
    chosen, net = built("reste")
    layer: BinaryLinear = net.fc0
    layer.weight.data[:, :6] = 0.05
    layer.weight.data[:, 6:] = -0.3
    net.fc1.weight.data.fill_(0.2)
    assert torch.allclose(layer.effective_weight(), layer.weight.abs().mean() * sign(layer.weight))
    assert chosen.measures()["share_above"] == pytest.approx((10 * 6 + 40) / 160)
    layer.binarizer(layer.weight)[:, :6].sum().backward()
    expected = torch.zeros(10, 12)
    expected[:, :6] = layer.weight.detach().abs().mean()
    assert torch.allclose(layer.weight.grad, expected), "nothing flows through the scale"
