"""`bit-mlp`: pixels as bits in front, whole sums behind: its file lowers to units that hold no table."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from arbonn.errors import RecipeError
from arbonn.flows.lowering.lower import LowerOptions, lower
from arbonn.model import data as datasets
from arbonn.model.networks.bit_mlp import Gain, InputBits
from arbonn.model.train import build, train

TOPK = {"name": "topk", "fan_in": [6, 12]}


def test_a_bit_for_each_threshold_in_turn():
    x = torch.tensor([[0.0, 0.25, 0.6, 1.0]])
    assert InputBits(4, (0.25, 0.5))(x).tolist() == [[-1, 1, 1, 1, -1, -1, 1, 1]]
    assert not any(p.requires_grad for p in InputBits(4, (0.5,)).parameters())


def test_the_gain_orders_classes_as_their_sums():
    gain, x = Gain(), torch.randn(20, 5)
    gain.gain.data.fill_(-0.3)
    assert torch.equal(gain(x).argsort(1), x.argsort(1))


def test_logits_are_the_last_layers_sums(recipe, tmp_path):
    small = recipe(method=TOPK, network={"name": "bit-mlp", "sizes": [30]}, train={"epochs": 2})
    outcome = train(small, tmp_path)
    codes = datasets.load(small.data).test.codes[:100].astype(np.int64)
    lowered = lower(outcome.model, LowerOptions(samples=codes))
    assert not lowered.verification.mismatches
    assert [node.kind for node in lowered.graph.nodes] == ["Thresholding", "MVAU", "MVAU", "LabelSelect"]
    assert lowered.built.logit_scale == "accumulator"
    hidden, last = lowered.graph.nodes[1:3]
    assert_array_equal((hidden.weights != 0).sum(1), 6)
    assert_array_equal((last.weights != 0).sum(1), 12)


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (
            {"name": "bit-mlp"},
            "network.sizes: nothing\n  allowed  features of each hidden layer of a bit-mlp\n  fix      add `sizes = [1024]`, say",
        ),
        (
            {"name": "bit-mlp", "sizes": [8], "first_last": "int8"},
            "network.name: bit-mlp: block `bn`, `int8` first and last layers\n"
            "  allowed  block `bn`, binary first and last layers\n  fix      leave both out",
        ),
        (
            {"name": "mlp", "sizes": [8], "input_thresholds": [0.5]},
            "network.input_thresholds: `mlp` has none\n  allowed  sizes\n  fix      leave input_thresholds out",
        ),
    ],
)
def test_settings_that_do_not_go_together(recipe, network, text):
    wanted = recipe(method=TOPK, network=network)
    with pytest.raises(RecipeError) as caught:
        build(wanted, datasets.load(wanted.data))
    assert str(caught.value) == f"RecipeError: {text}"
