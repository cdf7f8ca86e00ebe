"""Perturbation of effective weights and the sharpness of channels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from arbonn.model.methods.sharpness import ascent, channel_sharpness, global_norm
from arbonn.model.surrogates import sign

matrices = arrays("float64", (4, 6), elements=st.floats(-3, 3))


@given(curvature=arrays("float64", (4, 6), elements=st.floats(0.125, 8)), weights=matrices, rho=st.floats(0.01, 1))
def test_on_a_diagonal_quadratic_sharpness_lies_between_the_curvatures(curvature, weights, rho):
    """L = 1/2 sum h W^2: the change of the gradient along eps is h eps, so s_c is an average of h_c."""
    h, w = torch.from_numpy(curvature), torch.from_numpy(weights)
    (eps,) = ascent([h * w], [w], rho, "absolute")
    s = channel_sharpness(h * w, h * (w + eps), eps)
    moved = eps.square().sum(1) > 1e-6  # where eps_c is nothing, 1e-12 holds s_c down
    slack = 1e-5
    assert (s[moved] >= h.min(1).values[moved] * (1 - slack)).all()
    assert (s[moved] <= h.max(1).values[moved] * (1 + slack)).all()


@given(matrices, matrices, st.floats(0.01, 1))
def test_one_norm_over_all_layers(first, second, rho):
    grads = [torch.from_numpy(first), torch.from_numpy(second)]
    weights = [torch.ones(4, 6), 2 * torch.ones(4, 6)]
    if global_norm(grads) < 1e-3:
        return
    assert float(global_norm(ascent(grads, weights, rho, "absolute"))) == pytest.approx(rho)
    relative = ascent(grads, weights, rho, "relative")
    assert float(global_norm(relative)) == pytest.approx(rho * 120**0.5, rel=1e-5)
    assert torch.allclose(relative[0] * grads[1], relative[1] * grads[0]), "layers keep their proportion"


def test_no_gradient_is_no_perturbation():
    (eps,) = ascent([torch.zeros(2, 3)], [torch.ones(2, 3)], 0.05, "absolute")
    assert torch.equal(eps, torch.zeros(2, 3))


def test_sign_swallows_a_latent_step_but_not_an_effective_one():
    torch.manual_seed(0)
    w, g = 0.3 * torch.randn(16, 64), torch.randn(16, 64)
    (eps,) = ascent([g], [w], 0.05, "absolute")
    changed = (sign(w + eps) != sign(w)).float().mean()
    assert changed < 0.01, "the claim that the method starts from"
    latent_move = global_norm([0.3 * (sign(w + eps) - sign(w))])
    effective_move = global_norm([0.3 * sign(w) + eps - 0.3 * sign(w)])
    assert float(effective_move) == pytest.approx(0.05, rel=1e-3)
    still = w.abs() > 0.05
    assert torch.equal(sign(w + eps)[still], sign(w)[still])
    assert latent_move != pytest.approx(0.05, rel=0.1)
