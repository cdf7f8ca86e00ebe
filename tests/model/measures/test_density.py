"""The overlap of densities, on scales whose order is known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from arbonn.model.layers import BinaryLinear, binary_layers
from arbonn.model.measures.density import Density, chance_overlap
from arbonn.model.methods.binarizers import LearnableScale


def measure(net: nn.Module) -> dict[str, float]:
    return Density(SimpleNamespace(layers=binary_layers(net), config=SimpleNamespace(tau=0.6))).epoch()


def test_with_the_scale_at_the_mean_magnitude_sparse_and_dense_are_the_same_channels():
    net = nn.Sequential(BinaryLinear(64, 50, lambda layer: LearnableScale(layer.weight)))
    # A is largest where |w| is smallest: D(A) takes 20 of 50, all of them among the 30 sparse ones.
    assert measure(net) == pytest.approx(
        {"density_overlap": 0.4, "density_overlap/0": 0.4, "density_chance": 0.24, "density_correlation": -1.0}
    )
    net[0].binarizer.alpha.data = 1 / net[0].binarizer.alpha.data
    assert measure(net)["density_correlation"] == pytest.approx(1.0)
    assert measure(net)["density_overlap"] == 0.0


def test_independent_scales_overlap_by_chance():
    net = nn.Sequential(BinaryLinear(8, 4000, lambda layer: LearnableScale(layer.weight)))
    net[0].binarizer.alpha.data = torch.rand(4000, generator=torch.Generator().manual_seed(0))
    found = measure(net)
    assert found["density_overlap"] == pytest.approx(chance_overlap(4000, 0.6), abs=0.02)
    assert abs(found["density_correlation"]) < 0.05


def test_a_net_without_scales_has_nothing_to_report():
    assert measure(nn.Sequential(nn.Linear(2, 2))) == {}
