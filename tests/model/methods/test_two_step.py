"""`two-step`: real weights first, the base's bits afterwards, and bits in every evaluation."""

from __future__ import annotations

import copy

import pytest
import torch

from arbonn.model.methods.binarizers import l1


def test_the_weights_are_real_and_then_binary_and_evaluation_sees_bits(built):
    chosen, net = built("two-step", share=0.5, base={"name": "ste"})
    layer, x = net.fc0, torch.rand(3, 12)
    for t, real in ((0.0, True), (0.4, True), (0.5, False), (0.9, False)):
        chosen.on_progress(t)
        wanted = layer.weight if real else layer.binarizer(layer.weight)
        assert torch.equal(layer(x), x @ wanted.T)
        with torch.no_grad():
            assert torch.equal(layer(x), x @ layer.effective_weight().T)


def test_the_base_sees_its_own_progress_and_is_silent_in_stage_one(built, run):
    chosen, net = built("two-step", share=0.5, base={"name": "irnet"})
    for t, inner in ((0.25, 0.1), (0.5, 0.1), (0.75, 1.0), (1.0, 10.0)):
        chosen.on_progress(t)
        assert float(chosen.activation.t) == pytest.approx(inner)
    chosen, net = built("two-step", share=0.5, base={"name": "rbonn", "recon_weight": 1.0, "u_start": 0.1, "u_max": 0.1})
    chosen.on_progress(0.0)
    assert chosen.loss_terms(None) == {}
    run(chosen, net, 1)
    assert chosen.base.recurrences[0].previous.abs().sum() == 0
    chosen.on_progress(0.6)
    assert set(chosen.loss_terms(None)) == {"reconstruction"}


def test_the_scale_starts_again_once_and_weight_decay_ends_with_stage_one(built, step, context):
    chosen, net = built("two-step", share=0.5, base={"name": "ste"})
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    chosen.on_progress(0.0)
    step(chosen, net, optimizer, context(net, optimizer))
    assert optimizer.param_groups[0]["weight_decay"] == 1e-5
    net.fc0.weight.data *= 3
    optimizer.param_groups[0]["lr"] = 0.0
    chosen.on_progress(0.5)
    step(chosen, net, optimizer, context(net, optimizer, 1))
    assert optimizer.param_groups[0]["weight_decay"] == 0
    assert torch.equal(net.fc0.binarizer.alpha, l1(net.fc0.weight))
    kept = copy.deepcopy(chosen.state_dict())
    assert kept["begun"]
    net.fc0.binarizer.alpha.data.fill_(7.0)
    step(chosen, net, optimizer, context(net, optimizer, 2))
    assert (net.fc0.binarizer.alpha == 7).all(), "once only"
