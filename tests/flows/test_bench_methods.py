"""The bench of training methods: the plain network is the same network, and every method has its row."""

from __future__ import annotations

import torch

from arbonn.flows.bench.methods import GOALS, built, methods, plain
from arbonn.model.recipe import NetworkConfig


def test_the_plain_network_computes_and_learns_the_same():
    config = NetworkConfig(name="cnn", channels=(4, 6), sizes=(5,))
    network = built({"name": "ste"}, config, (1, 8, 8), 32)[1]
    twin = plain(network)
    inputs = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(network(inputs), twin(inputs), atol=1e-5)
    for net in (network, twin):
        net(inputs).square().sum().backward()
    ours, theirs = dict(network.named_parameters()), dict(twin.named_parameters())
    assert len(ours) == len(theirs)
    for name, one in ours.items():
        if name.endswith(".weight"):
            assert torch.allclose(one.grad, theirs[name].grad, atol=1e-4), name


def test_every_method_has_a_row_with_its_goal():
    rows = methods(NetworkConfig(sizes=(8, 8)), (1, 4, 4), 32, rounds=1)
    first, *rest = list(rows)
    assert first.what == "mlp, batch 32: plain PyTorch STE"
    assert [row.goal for row in rest] == [*(goal for _, goal in GOALS.values()), None]
    assert rest[-1].what == "mlp, batch 32: lcr as its published code has it"
    assert all(row.ratio > 0 and row.seen > 0 for row in rest)
