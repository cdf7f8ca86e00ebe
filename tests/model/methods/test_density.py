"""Ranks, densities and the recurrence shared by the bilinear methods."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from arbonn.model.layers import BinaryLinear
from arbonn.model.methods.binarizers import LearnableScale
from arbonn.model.methods.density import Recurrence, dense, rank, reconstruction, sparse_in_weights

distinct = st.lists(st.integers(-1000, 1000), min_size=1, max_size=20, unique=True)


def layer(out: int = 8, features: int = 5) -> BinaryLinear:
    made = BinaryLinear(features, out, lambda layer: LearnableScale(layer.weight, None))
    made.binarizer.alpha.data = torch.rand(out) + 0.1
    return made


@given(distinct)
def test_rank_counts_the_smaller_ones(values):
    assert rank(torch.tensor(values)).tolist() == [sum(other < value for other in values) for value in values]


def test_rank_is_no_argsort_index():
    assert rank(torch.tensor([30, 10, 20])).tolist() == [2, 0, 1]
    assert torch.tensor([30, 10, 20]).argsort().tolist() == [1, 2, 0]


@given(distinct, st.floats(0, 1))
def test_density_counts(values, tau):
    assert int(dense(torch.tensor(values), tau).sum()) == len(values) - int(len(values) * tau)


def test_the_64_channels_of_the_specification():
    assert int(dense(torch.randn(64), 0.6).sum()) == 26


@given(st.permutations(list(range(8))), st.floats(0, 1))
def test_permuting_channels_permutes_the_selection(order, tau):
    torch.manual_seed(0)
    one, other = layer(), layer()
    other.weight.data = one.weight.data[order]
    other.binarizer.alpha.data = one.binarizer.alpha.data[order]
    assert torch.equal(sparse_in_weights(other, tau), sparse_in_weights(one, tau)[order])


def test_the_extremes_of_tau_select_nothing():
    for _ in range(20):
        made = layer()
        assert not sparse_in_weights(made, 0.0).any()
        assert not sparse_in_weights(made, 1.0).any()


def test_only_selected_channels_change_and_they_move_along_their_own_weights():
    made = layer()
    recurrence = Recurrence(made, 0.25, 1.0)
    selected = torch.arange(8) % 3 == 0
    before = made.weight.detach().clone()
    made.weight.grad = torch.randn_like(before)
    recurrence.before(made, selected)
    made.weight.data -= 0.1  # an optimizer's step
    stepped = made.weight.detach().clone()
    recurrence.after(made, 0.0)
    assert torch.equal(made.weight[~selected], stepped[~selected])
    assert torch.equal(made.weight[selected], stepped[selected] + 0.25 * before[selected])


def test_u_descends_stays_positive_and_is_capped():
    made = layer()
    recurrence = Recurrence(made, 1e-4, 1e-3)
    everything = torch.ones(8, dtype=torch.bool)
    gradients = [torch.randn(8, 5) for _ in range(2)]
    weights = []
    for gradient in gradients:
        weights.append(made.weight.detach().clone())
        made.weight.grad = gradient
        recurrence.before(made, everything)
        recurrence.after(made, 1e-4)
    # The first step has no step before it; the second takes its gradient along the first one's weights.
    expected = (1e-4 - 1e-4 * (gradients[1] * weights[0]).sum(1)).abs().clamp(max=1e-3)
    assert torch.allclose(recurrence.u, expected)
    made.weight.grad = torch.randn(8, 5) * 1e6
    recurrence.before(made, everything)
    recurrence.after(made, 1.0)
    assert (recurrence.u >= 0).all()
    assert (recurrence.u <= 1e-3).all()
    assert set(recurrence.state_dict()) == {"u", "previous"}


def test_the_bilinear_term_and_its_gradients():
    made = layer()
    term = reconstruction(made)
    term.backward()
    w, alpha = made.weight.detach(), made.binarizer.alpha.detach()
    gap = w - alpha[:, None] * torch.from_numpy(np.where(w.numpy() >= 0, 1, -1).astype(np.float32))
    assert torch.allclose(term, 0.5 * gap.square().sum())
    assert torch.allclose(made.weight.grad, gap)
    assert torch.allclose(made.binarizer.alpha.grad, -(gap * (w / w.abs())).sum(1), atol=1e-6)
