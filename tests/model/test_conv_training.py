"""Every method on a small convolutional network: it trains, resumes from its state, exports, and lowers without a mismatch."""

from __future__ import annotations

import numpy as np
import pytest

from arbonn.flows.buffers import size_buffers
from arbonn.flows.lowering.lower import LowerOptions, lower
from arbonn.model.batches import load
from arbonn.model.recipe import METHODS
from arbonn.model.train import train
from arbonn.sim.check import CheckOptions, check

CNN = {"name": "cnn", "channels": [4, 6]}
FEW = {"name": "digits", "augment": ["none", "shift"], "limit": 256, "val": 60}
BINARIZERS = [name for name in METHODS.names() if METHODS.get(name, "").role == "binarizer"]
WRAPPED = {
    "lcr(irnet)": {"name": "lcr", "teacher_epochs": 1, "base": {"name": "irnet"}},
    "kd(two-step(rebnn))": {"name": "kd", "teacher_epochs": 1, "base": {"name": "two-step", "base": {"name": "rebnn"}}},
    "swa(sam(rbonn))": {"name": "swa", "base": {"name": "sam", "base": {"name": "rbonn"}}},
}


@pytest.mark.parametrize("name", [*BINARIZERS, *WRAPPED])
def test_every_method_trains_convolutions(recipe, tmp_path, name):
    block = "nf" if name == "abnn" else "bn"
    small = recipe(
        method=WRAPPED.get(name, {"name": name}),
        train={"epochs": 2, "select": "last"},
        network={**CNN, "block": block},
        data=FEW,
        measures={"names": ["flips"], "charts": False},
    )
    outcome = train(small, tmp_path)
    data = load(small)
    assert np.load(outcome.test_codes).shape == (360, 1, 8, 8)
    found = lower(outcome.model, LowerOptions(samples=data.test.codes[:30].astype(np.int64)))
    assert not found.verification.mismatches
    assert found.verification.integers > 30 * 4 * 16


@pytest.mark.parametrize("name", ["arbonn", "lcr(irnet)"])
def test_methods_train_residual_networks(recipe, tmp_path, name):
    small = recipe(
        method=WRAPPED.get(name, {"name": name}),
        train={"epochs": 2, "select": "last"},
        network={"name": "resnet8", "channels": [2, 4]},
        data={**FEW, "limit": 128},
        measures={"names": ["flips"], "charts": False},
    )
    outcome = train(small, tmp_path)
    found = lower(outcome.model, LowerOptions(samples=np.load(outcome.test_codes)[:20].astype(np.int64)))
    assert not found.verification.mismatches


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [
        {"name": "cnn", "channels": [2, 3]},
        {"name": "cnn", "channels": [2, 3], "first_last": "int8"},
        {"name": "resnet8", "channels": [2, 4], "stream_bits": 3},
        {"name": "resnet8", "channels": [2], "stream_bits": 3, "shortcut": "conv"},
    ],
)
def test_rtl_equals_the_models_of_a_trained_network(recipe, tmp_path, network):
    small = recipe(train={"epochs": 2}, network=network, data={**FEW, "size": [6, 6]})
    outcome = train(small, tmp_path / "train")
    codes = np.load(outcome.test_codes)[:3].astype(np.int64)
    found = lower(outcome.model, LowerOptions(samples=codes))
    graph = size_buffers(found.graph, {})
    seen = check(graph, {"x": np.moveaxis(codes, 1, -1)}, tmp_path / "check", CheckOptions({"icarus": None}, stalls=(0.0, 0.5)))
    assert (seen.bit_mismatches, seen.cycle_mismatches, seen.violations, seen.first_difference) == (0, 0, 0, None)
    assert seen.transfers > 0
