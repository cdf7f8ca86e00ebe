"""Batches: bytes become floats when they are asked for, and are then what the contract says; an epoch's order belongs to its seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from arbonn.model.batches import Frames, batches, load
from arbonn.model.train import build

CPU = torch.device("cpu")


@pytest.mark.parametrize("network", [{"sizes": [8]}, {"name": "cnn", "channels": [4]}])
def test_frames_give_the_contract_s_floats_of_the_rows_asked_for(recipe, network):
    data = load(recipe(network=network))
    frames = Frames(data, data.test.codes, CPU)
    every = torch.from_numpy(data.to_float(data.test.codes))
    assert frames.codes.dtype == torch.uint8
    assert len(frames) == 360
    assert torch.equal(torch.cat(list(frames.split(100))), every)
    assert [len(part) for part in frames.split(100)] == [100, 100, 100, 60]
    rows = torch.tensor([5, 0, 5])
    assert torch.equal(frames[rows], every[rows])


def test_the_network_decides_how_frames_are_framed(recipe):
    assert load(recipe()).frame == (64,)
    assert load(recipe(network={"name": "cnn"})).frame == (1, 8, 8)


@pytest.mark.parametrize("network", [{"sizes": [8]}, {"name": "cnn", "channels": [4]}])
def test_an_epoch_is_the_same_from_any_step_on(recipe, network):
    small = recipe(network=network)
    data = load(small)
    method, _ = build(small, data)
    whole = dict(batches(small, data, method, 1, 0, CPU))
    assert [tuple(batch[0].shape) for batch in whole.values()] == [(64, *data.frame)] * 19
    for step, batch in batches(small, data, method, 1, 17, CPU):
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(batch, whole[step], strict=True))
    seen = np.concatenate([batch[1] for batch in whole.values()])
    assert np.bincount(seen).min() > 90, "all classes, each image once"
