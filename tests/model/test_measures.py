"""Flips, oscillation and dead filters, counted on weights that are moved by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from arbonn.model.layers import BinaryLinear
from arbonn.model.measures import FlipMeter, chance_overlap, density_overlap
from arbonn.model.methods.binarizers import LearnableScale


@pytest.fixture
def net() -> nn.Sequential:
    made = nn.Sequential(BinaryLinear(5, 4, lambda layer: LearnableScale(layer.weight)))
    made[0].weight.data = torch.ones(4, 5)
    return made


def flip(net: nn.Sequential, *places: tuple[int, int]) -> None:
    for place in places:
        net[0].weight.data[place] *= -1


def test_flips_there_and_back_are_oscillation(net):
    meter = FlipMeter(net)
    for places in ([(0, 0), (1, 1)], [(0, 0)], [(2, 2)], []):
        flip(net, *places)
        meter.update()
    # 4 flips in 4 steps of 20 weights; one of them undid the step before; filter 3 never moved.
    assert meter.measures() == {"flip_rate": 4 / 80, "oscillation": 1 / 80, "dead_filters": 0.25}
    meter.restart()
    assert meter.measures() == {"flip_rate": 0.0, "oscillation": 0.0, "dead_filters": 1.0}


def test_a_meter_goes_on_from_its_state(net):
    whole, first = FlipMeter(net), FlipMeter(net)
    flip(net, (0, 0))
    whole.update()
    first.update()
    second = FlipMeter(net)
    second.load_state_dict(first.state_dict())
    flip(net, (0, 0))
    whole.update()
    second.update()
    assert second.measures() == whole.measures()
    assert whole.measures()["oscillation"] == 1 / 40


def test_with_the_scale_at_the_mean_magnitude_sparse_and_dense_are_the_same_channels():
    net = nn.Sequential(BinaryLinear(64, 50, lambda layer: LearnableScale(layer.weight)))
    # A is largest where |w| is smallest: D(A) takes 20 of 50, all of them among the 30 sparse ones.
    assert density_overlap(net, 0.6) == pytest.approx(0.4)
    assert chance_overlap(50, 0.6) == pytest.approx(0.24)


def test_a_net_without_scales_has_no_overlap():
    assert density_overlap(nn.Sequential(nn.Linear(2, 2))) == 0.0
