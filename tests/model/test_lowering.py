"""Every method, from a recipe to an integer graph: what it exports lowers without a mismatch, and a killed run loses nothing."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from numpy.testing import assert_array_equal

from arbonn.flows.lowering.lower import LowerOptions, lower
from arbonn.hw.units.mvau import MVAU
from arbonn.model import data as datasets
from arbonn.model.layers import binary_layers
from arbonn.model.methods.base import Method
from arbonn.model.recipe import METHODS
from arbonn.model.train import build, train

VARIANTS = {
    "sbnn": {"init": "quantile", "ec": 0.4, "values": "means", "shift_bits": 2},
    "biper": {"stage_one": 0.5, "tau_reg": 0.04, "normalise": True},
    "topk": {"fan_in": [6, 5, 8]},
}
WRAPPED = {
    "lcr(sam(irnet))": {"name": "lcr", "teacher_epochs": 1, "base": {"name": "sam", "base": {"name": "irnet"}}},
    "swa(two-step(rbonn))": {"name": "swa", "base": {"name": "two-step", "base": {"name": "rbonn", "recurrence": "code"}}},
    "kd(sbnn)": {"name": "kd", "teacher_epochs": 1, "base": {"name": "sbnn", "fan_in": 20}},
}
BINARIZERS = [name for name in METHODS.names() if METHODS.get(name, "").role == "binarizer"]


@pytest.mark.parametrize("name", [*BINARIZERS, *WRAPPED])
def test_a_killed_run_goes_on_and_its_export_lowers(recipe, tmp_path, monkeypatch, name):
    wanted = WRAPPED.get(name, {"name": name, **VARIANTS.get(name, {})})
    nf = {"network": {"sizes": [24, 16], "block": "nf"}} if name == "abnn" else {}
    small = recipe(method=wanted, train={"epochs": 2, "checkpoint_steps": 7, "select": "last"}, **nf)
    whole = train(small, tmp_path / "whole")

    class Killed(BaseException):
        """Like a kill: no handler of the loop may swallow it."""

    kind = METHODS.get(wanted["name"], "")
    after = kind.after_step

    def after_some_steps(self: Method, context) -> None:
        after(self, context)
        if context.step == 10:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(kind, "after_step", after_some_steps)
        with pytest.raises(Killed):
            train(small, tmp_path / "killed")
    resumed = train(small, tmp_path / "killed")
    assert resumed.model.read_bytes() == whole.model.read_bytes()
    assert resumed.measures == whole.measures

    data = datasets.load(small.data)
    lowered = lower(whole.model, LowerOptions(samples=data.test.codes[:100].astype(np.int64)))
    assert not lowered.verification.mismatches
    assert lowered.verification.integers > 100 * (24 + 16)
    if name.startswith("swa"):
        return  # its weights are no epoch's
    _, network = build(small, data)
    network.load_state_dict(torch.load(whole.checkpoint, weights_only=True)["run"]["best"]["model"])
    units = [node for node in lowered.graph.nodes if isinstance(node, MVAU)]
    for unit, layer in zip(units, binary_layers(network).values(), strict=True):
        if name == "topk":
            assert_array_equal(unit.weights != 0, layer.bits().numpy())
            continue
        low, high = np.unique(unit.weights)[[0, -1]]
        # A falling layer is negated; apart from that the unit's larger value stands where the bit is 1 (the smaller, if scale < 0).
        bits = layer.bits().numpy()
        rows_equal = (((unit.weights == high) == bits).all(1)) | (((unit.weights == low) == bits).all(1))
        if "sbnn" not in name:
            assert (low, high) == (-1, 1)
        assert rows_equal.all()


def test_two_values_are_written_and_lowered_as_what_they_are(recipe, tmp_path):
    """Brevitas' own handler would drop the shift: hi and lo of the file are those of the layer, and as integers q + 2^f, q - 2^f."""
    small = recipe(method={"name": "sbnn", "init": "quantile", "ec": 0.3}, train={"epochs": 2})
    outcome = train(small, tmp_path)
    _, network = build(small, datasets.load(small.data))
    network.load_state_dict(torch.load(outcome.checkpoint, weights_only=True)["run"]["best"]["model"])
    for layer, (scale, q) in zip(binary_layers(network).values(), ((-0.75, 9), (0.5, -3), (1.25, 16)), strict=True):
        layer.binarizer.scale.data.fill_(scale)
        layer.binarizer.shift.data.fill_(scale * (q + 0.2) / 16)
    from arbonn.model.export import export

    file = tmp_path / "moved.onnx"
    export(network, file, small, datasets.load(small.data).contract, (64,))
    onnx.checker.check_model(onnx.load(file))
    lowered = lower(file)
    assert not lowered.verification.mismatches
    layers = list(binary_layers(network).values())
    for built, layer, q in zip(lowered.built.layers, layers, (9, -3, 16), strict=True):
        expected = np.where(layer.bits(), q + 16, q - 16) * np.sign(layer.binarizer.scale.item())
        assert np.array_equal(built.weights * np.gcd.reduce(expected.astype(int).ravel()), expected), "up to a common factor"
        assert np.allclose(built.linear.weights, layer.effective_weight().numpy(), rtol=1e-6)
