"""`swa`: the mean of what is trained, statistics of its own, and exactness through a resume."""

from __future__ import annotations

import copy

import numpy as np
import onnx
import pytest
import torch

from arbonn.model.train import train


def test_means_are_of_the_last_part_only_and_bits_are_those_of_the_means(built, run, context):
    chosen, net = built("swa", start=0.5, base={"name": "ste"})
    seen = []
    base_after = chosen.base.after_step
    chosen.base.after_step = lambda context: (base_after(context), seen.append([p.detach().clone() for p in net.parameters()]))
    run(chosen, net, 6)
    assert int(chosen.count) == 3
    expected = [torch.stack(values).mean(0) for values in zip(*seen[3:], strict=True)]
    assert chosen.finish(net, torch.rand(128, 12))
    for parameter, mean in zip(net.parameters(), expected, strict=True):
        assert torch.allclose(parameter, mean, atol=1e-6)
    assert torch.equal(net.fc0.bits(), net.fc0.weight >= 0)


def test_statistics_are_taken_anew_over_the_training_images(built, run):
    chosen, net = built("swa", start=0.0, base={"name": "ste"})
    run(chosen, net)
    inputs = torch.rand(130, 12)  # two batches of 64 and a rest that is left out
    chosen.finish(net, inputs)
    with torch.no_grad():
        sums = net.fc0(inputs[:128])
    assert torch.allclose(net.norm0.running_mean, sums.mean(0), atol=1e-5)
    halves = torch.stack([half.var(0) for half in sums.chunk(2)]).mean(0)
    assert torch.allclose(net.norm0.running_var, halves, atol=1e-5)
    assert net.norm0.momentum == 0.1
    assert not net.training


def test_a_run_that_averaged_nothing_is_left_as_it_is(built, run):
    chosen, net = built("swa", start=0.75, base={"name": "ste"})
    before = copy.deepcopy(net.state_dict())
    assert not chosen.finish(net, torch.rand(128, 12))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_the_averaged_network_is_measured_and_exported_and_a_finished_run_gives_it_again(recipe, tmp_path):
    wanted = {"name": "swa", "start": 0.3, "base": {"name": "ste"}}
    small = recipe(method=wanted)
    first = train(small, tmp_path / "a")
    again = train(small, tmp_path / "a")
    assert again == first
    plain = train(recipe(method={"name": "ste"}), tmp_path / "b")
    graphs = [onnx.load(path).graph for path in (first.model, plain.model)]
    written, unaveraged = ({tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer} for graph in graphs)
    assert written.keys() == unaveraged.keys()
    assert not np.array_equal(written["sign0.beta"], unaveraged["sign0.beta"])
    assert not np.array_equal(written["norm0.running_mean"], unaveraged["norm0.running_mean"])
    assert first.best_epoch == 3
    assert first.val_accuracy == pytest.approx(round(first.val_accuracy * 180) / 180)
    assert np.isfinite(first.float_accuracy)
