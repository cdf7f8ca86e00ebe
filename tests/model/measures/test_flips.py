"""Flips, oscillation, dead filters and ones, counted on weights that are moved by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from arbonn.model.layers import BinaryLinear, binary_layers
from arbonn.model.measures.flips import Flips
from arbonn.model.methods.binarizers import LearnableScale


@pytest.fixture
def net() -> nn.Sequential:
    made = nn.Sequential(*(BinaryLinear(size, 4, lambda layer: LearnableScale(layer.weight)) for size in (5, 10)))
    for layer in made:
        layer.weight.data = torch.ones_like(layer.weight)
    return made


def meter(net: nn.Sequential) -> Flips:
    return Flips(SimpleNamespace(layers=binary_layers(net)))


def flip(net: nn.Sequential, *places: tuple[int, int], layer: int = 0) -> None:
    for place in places:
        net[layer].weight.data[place] *= -1


def test_flips_there_and_back_are_oscillation(net):
    flips = meter(net)
    for places in ([(0, 0), (1, 1)], [(0, 0)], [(2, 2)], []):
        flip(net, *places)
        flips.update()
    # 4 flips in 4 steps of 20 + 40 weights; one of them undid the step before; filter 3 and the second layer never moved.
    assert flips.epoch() == {
        "flip_rate": 4 / 240, "flip_rate/0": 4 / 80, "flip_rate/1": 0.0,
        "oscillation": 1 / 240, "oscillation/0": 1 / 80, "oscillation/1": 0.0,
        "flip_rate_epoch": 2 / 60, "flip_rate_epoch/0": 2 / 20, "flip_rate_epoch/1": 0.0,
        "dead_filters": 5 / 8, "dead_filters/0": 1 / 4, "dead_filters/1": 1.0,
        "ones": 58 / 60, "ones/0": 18 / 20, "ones/1": 1.0,
    }  # fmt: skip
    flips.restart()
    found = flips.epoch()
    assert [found[name] for name in ("flip_rate", "oscillation", "flip_rate_epoch", "dead_filters")] == [0, 0, 0, 1]


def test_a_meter_goes_on_from_its_state(net):
    whole, first = meter(net), meter(net)
    flip(net, (0, 0))
    whole.update()
    first.update()
    second = meter(net)
    second.load_state_dict(first.state_dict())
    flip(net, (0, 0))
    whole.update()
    second.update()
    assert second.epoch() == whole.epoch()
    assert whole.epoch()["oscillation/0"] == 1 / 40


def test_a_kept_state_does_not_move_with_the_meter(net):
    flips = meter(net)
    kept = flips.state_dict()
    before = {name: count.clone() for name, count in kept["counts"].items()}
    flip(net, (0, 0))
    flips.update()
    assert all(torch.equal(kept["counts"][name], count) for name, count in before.items())
