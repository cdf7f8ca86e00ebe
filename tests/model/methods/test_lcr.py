"""`lcr`: power iteration from below, the loss on pairs of stages, and a teacher that nothing moves."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from arbonn.errors import TrainError
from arbonn.model import networks
from arbonn.model.methods.lcr import stage_ends
from arbonn.model.methods.lipschitz import largest_singular, pooled, retained, retention
from arbonn.model.networks.mlp import mlp
from arbonn.model.recipe import NetworkConfig

matrices = arrays("float64", st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)), elements=st.floats(-3, 3))


def taught(method, sizes=(10, 8), **options):
    torch.manual_seed(3)
    chosen = method("lcr", **options)
    net = mlp(NetworkConfig(sizes=sizes), 12, 4, chosen)
    chosen.prepare(net, 1, 64)
    return chosen, net


@given(matrices)
def test_power_iteration_stays_below_the_norm_and_rises_with_its_steps(rm):
    rm = torch.from_numpy(rm)
    exact = torch.linalg.matrix_norm(rm, ord=2)
    steps = [largest_singular(rm, n) for n in (1, 2, 5, 20)]
    assert (steps[-1] <= exact * (1 + 1e-9) + 1e-6).all()
    for one, other in pairwise(steps):
        assert (other >= one * (1 - 1e-9) - 1e-9).all()


@given(st.integers(0, 10_000), st.floats(0.5, 20))
def test_twenty_steps_are_within_one_percent_where_the_next_value_is_half(seed, top):
    torch.manual_seed(seed)
    u, v = (torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q for _ in range(2))
    rm = u @ torch.diag(top * torch.tensor([1, 0.5, 0.5, 0.3, 0.1, 0.0]).double()) @ v
    if (u[:, 0].sum() / 6**0.5).abs() > 1e-3:  # a start without any share of the answer finds another
        assert largest_singular(rm[None], 20).item() == pytest.approx(top, rel=0.01)


def test_a_zero_matrix_has_a_finite_gradient():
    rm = torch.zeros(1, 3, 3, requires_grad=True)
    largest_singular(rm, 5).square().sum().backward()
    assert rm.grad.isfinite().all()


def test_retention_of_maps_is_by_sample_and_pooled_and_of_features_by_batch():
    f, g = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 2, 2)
    pooled = f.view(2, 3, 2, 2, 2, 2).mean((3, 5)).flatten(2)
    assert torch.allclose(retention(f, g), torch.einsum("ncs,nds->ncd", pooled, g.flatten(2)) / 4, atol=1e-6)
    a, b = torch.randn(7, 3), torch.randn(7, 5)
    assert torch.allclose(retention(a, b)[0], torch.einsum("nc,nd->cd", a, b) / 7, atol=1e-6)


sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))


@given(sizes, sizes)
def test_pooling_is_the_adaptive_average(before, after):
    x = torch.randn(2, 3, *before, dtype=torch.float64)
    assert torch.allclose(pooled(x, after), nn.functional.adaptive_avg_pool2d(x, after))


@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(1, 7), sizes, sizes, st.integers(1, 5))
def test_the_fused_norm_and_its_gradients_are_those_of_the_plain_formula(seed, c, d, before, after, n_iter):
    torch.manual_seed(seed)
    f, g = torch.randn(2, c, *before, dtype=torch.float64), torch.randn(2, d, *after, dtype=torch.float64)
    results = []
    for norms in (retained, lambda f, g, n: largest_singular(retention(f, g), n)):
        leaves = [x.clone().requires_grad_() for x in (f, g)]
        value = norms(*leaves, n_iter)
        results.append([value.detach(), *torch.autograd.grad((value.square() * torch.arange(1, 3)).sum(), leaves)])
    for fused, formula in zip(*results, strict=True):
        assert torch.allclose(fused, formula, rtol=1e-6, atol=1e-9 * float(formula.abs().max() + 1))


def test_the_fused_norm_of_features_is_that_of_the_batch_and_passes_gradcheck():
    torch.manual_seed(0)
    f, g = (torch.randn(4, n, dtype=torch.float64, requires_grad=True) for n in (3, 5))
    assert torch.allclose(retained(f, g, 3), largest_singular(retention(f, g), 3))
    assert torch.autograd.gradcheck(lambda f, g: retained(f, g, 3), (f, g))
    maps = torch.randn(4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.allclose(retained(maps, g, 3), largest_singular(retention(maps, g), 3))


def test_the_fused_norm_of_a_map_of_zeros_has_a_finite_gradient():
    f, g = torch.zeros(2, 3, 4, 4, requires_grad=True), torch.randn(2, 5, 2, 2, requires_grad=True)
    retained(f, g, 5).sum().backward()
    assert all(x.grad.isfinite().all() for x in (f, g))


def test_stages_end_with_the_last_convolution_of_a_width_and_with_each_dense_layer(method):
    def ends(name, image, **options):
        return stage_ends(networks.build(NetworkConfig(name=name, **options), image, 10, method("ste")))

    assert ends("cnv", (3, 32, 32)) == [1, 3, 5, 6, 7]
    assert ends("cnn", (1, 16, 16)) == [0, 2]
    assert ends("cnn", (1, 16, 16), channels=(8, 8)) == [0, 1], "a single stage would have no pair"
    assert ends("cnn", (1, 16, 16), channels=(8, 8), sizes=(8,)) == [1, 2]
    assert ends("tfc", (1, 4, 4)) == [0, 1, 2]


def test_weight_zero_is_exactly_irnet(method, run, context, step):
    states = []
    for name, options in (("lcr", {"weight": 0.0}), ("irnet", {}), ("lcr", {"weight": 1.0})):
        torch.manual_seed(3)
        chosen = method(name, **options)
        net = mlp(NetworkConfig(sizes=(10, 8)), 12, 4, chosen)
        chosen.prepare(net, 1, 64)
        states.append(run(chosen, net))
    assert all(torch.equal(one, other) for one, other in zip(states[0], states[1], strict=True))
    assert not torch.equal(states[0][0], states[2][0])


def test_the_loss_by_hand(method, context):
    chosen, net = taught(method, sizes=(10, 8, 6), weight=2.0)
    chosen.factors.data = torch.tensor([1.0, 0.5, 2.0])
    batch = context(net, None)
    net.train()
    with chosen._watched():
        net(batch.inputs)
        shifted = [a.detach() for a in chosen.seen]
        term = chosen.loss_terms(batch)["lipschitz"]
    assert len(shifted) == 3
    assert torch.equal(torch.where(shifted[0] >= 0, 1.0, -1.0), net[:3].train()(batch.inputs)), "what the sign saw"
    ours = [a.clamp(-1, 1) * factor for a, factor in zip(shifted, (1.0, 0.5, 2.0), strict=True)]
    _, theirs = chosen.taught(batch.inputs)
    gaps = []
    for k in range(2):
        sigmas = [largest_singular(f[k].T[None] @ f[k + 1][None] / 64, 5) for f in (ours, theirs)]
        gaps.append(float((sigmas[0] - sigmas[1]).square()))
    assert term.item() == pytest.approx(2 * (gaps[0] / 4 + gaps[1] / 2), rel=1e-4)


def test_the_teacher_gets_no_gradient_and_its_buffers_stay(method, run):
    chosen, net = taught(method, weight=1.0)
    before = {name: value.clone() for name, value in chosen.teacher.state_dict().items()}
    run(chosen, net)
    assert all(torch.equal(value, before[name]) for name, value in chosen.teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in chosen.teacher.parameters())
    assert not torch.equal(chosen.factors, torch.ones(2)), "the numbers of the stages do learn"
    own = {id(parameter) for group in chosen.param_groups(net) for parameter in group["params"]}
    assert own == {id(parameter) for parameter in (*net.parameters(), chosen.factors)}


def test_nothing_of_a_step_is_left_in_the_network(method, run):
    chosen, net = taught(method)
    run(chosen, net, 1)
    assert chosen.seen == []
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_a_net_without_a_pair_of_stages_is_refused(method):
    with pytest.raises(TrainError) as caught:
        taught(method, sizes=(10,))
    assert str(caught.value) == (
        "TrainError: network.sizes: 1 hidden layers\n"
        "  allowed  at least 2 for `lcr`: its loss is on pairs of stages\n  fix      add a hidden layer"
    )


def test_inside_sam_each_pass_has_its_own_stages(method, step, context):
    torch.manual_seed(3)
    chosen = method("sam", base={"name": "lcr", "weight": 1.0})
    net = mlp(NetworkConfig(sizes=(10, 8)), 12, 4, chosen)
    chosen.prepare(net, 1, 64)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    assert torch.isfinite(step(chosen, net, optimizer, context(net, optimizer)))
    assert isinstance(chosen.base.factors, nn.Parameter)
