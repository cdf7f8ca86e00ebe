"""`coral`: zero for equal covariances, the paper's formula otherwise."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from arbonn.model.methods.coral import alignment, covariance


def drawn(domains: int, each: int = 8, width: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(domains)
    labels = torch.arange(domains * each) % domains
    return torch.randn(domains * each, width) * (1 + labels[:, None]), labels


def test_covariance_is_torchs():
    x = torch.randn(9, 4)
    assert torch.allclose(covariance(x), torch.cov(x.T), atol=1e-6)


@given(st.integers(2, 4), st.integers(0, 9), st.floats(-3, 3))
def test_zero_where_domains_differ_by_a_shift_alone(domains, seed, shift):
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(seed))
    features = torch.cat([x + shift * d for d in range(domains)])
    labels = torch.arange(domains).repeat_interleave(8)
    assert float(alignment(features, labels)) < 1e-8
    expected = sum((shift * (e - d)) ** 2 for e in range(domains) for d in range(e)) / (domains * (domains - 1) / 2)
    assert float(alignment(features, labels, means=True)) == pytest.approx(expected, abs=1e-5, rel=1e-4)


def test_two_domains_by_the_papers_formula():
    features, labels = drawn(2)
    difference = torch.cov(features[labels == 0].T) - torch.cov(features[labels == 1].T)
    assert float(alignment(features, labels)) == pytest.approx(float(difference.square().sum()) / (4 * 3**2), rel=1e-5)


def test_the_mean_over_pairs_and_not_the_order_of_labels():
    features, labels = drawn(3)
    pairs = [alignment(features[labels != d], labels[labels != d]) for d in range(3)]
    assert float(alignment(features, labels)) == pytest.approx(float(torch.stack(pairs).mean()), rel=1e-5)
    assert float(alignment(features, 2 - labels)) == pytest.approx(float(alignment(features, labels)), rel=1e-5)


def test_a_domain_of_one_image_has_no_covariance():
    features, labels = drawn(2)
    alone = torch.cat([labels, torch.tensor([7])])
    more = torch.cat([features, torch.randn(1, 3)])
    assert float(alignment(more, alone)) == pytest.approx(float(alignment(features, labels)))
    assert float(alignment(features[:1], labels[:1])) == 0


def test_a_step_lowers_the_gap_that_it_is_weighted_for(built, run):
    gaps = {}
    for weight in (1e-6, 100.0):
        chosen, net = built("coral", domains=2, weight=weight, base={"name": "ste"})
        run(chosen, net, steps=30)
        gaps[weight] = chosen.measures()["coral"]
    assert 0 < gaps[100.0] < gaps[1e-6]


def test_maps_count_by_their_means(method, context, step):
    from arbonn.model.networks.convolutional import cnn
    from arbonn.model.recipe import NetworkConfig

    chosen = method("coral", base={"name": "ste"})
    net = cnn(NetworkConfig(name="cnn", channels=(4, 5)), (1, 4, 4), 3, chosen)
    chosen.prepare(net, 2, 8)
    optimizer = torch.optim.SGD(chosen.param_groups(net), lr=0.1)
    batch = context(net, optimizer)
    batch.inputs, batch.labels, batch.domains = torch.rand(8, 1, 4, 4), torch.arange(8) % 3, torch.arange(8) % 2
    shapes = []
    terms = chosen.loss_terms
    chosen.loss_terms = lambda context: (shapes.append(tuple(chosen.features.shape)), terms(context))[1]
    step(chosen, net, optimizer, batch)
    assert shapes == [(8, 5)]
    assert chosen.state_dict() == {}
