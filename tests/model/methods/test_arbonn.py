"""`arbonn`: its limit cases are RBONN and the plain step, and each part does what methods.md says of it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from arbonn.errors import TrainError
from arbonn.model.layers import BinaryLinear, binary_layers
from arbonn.model.methods.density import dense, sparse_in_weights
from arbonn.model.methods.domains import DomainNorm
from arbonn.model.networks.mlp import mlp
from arbonn.model.recipe import NetworkConfig
from arbonn.model.surrogates import sign

OFF = {"rho": 0.0, "tau_f": 0.0, "domain_norm": False, "di_weight": 0.0}
PLAIN = {**OFF, "recon": 0.0, "u_start": 0.0, "u_lr": 0.0}


def made(method, name: str, domains: int = 2, **options):
    """(method, net) with the same initial weights for every method: (64, 12) -> hidden 10 -> 4 classes."""
    torch.manual_seed(3)
    chosen = method(name, **options)
    net = mlp(NetworkConfig(sizes=(10,)), 12, 4, chosen)
    chosen.prepare(net, domains, 64)
    return chosen, net


def sgd(net: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(net.parameters(), lr=0.1)


def state(net: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in net.state_dict().values()]


def test_all_parts_off_is_the_plain_step_bit_for_bit(method, step, context):
    results = []
    for name, options in (("arbonn", PLAIN), ("ste", {"weight_clip": False})):
        chosen, net = made(method, name, **options)
        optimizer = sgd(net)
        for number in range(6):
            step(chosen, net, optimizer, context(net, optimizer, number))
        results.append(state(net))
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def rbonn_steps(net: nn.Module, context, steps: int, tau: float, recon: float, u0: float, u_max: float, u_lr: float) -> None:
    """RBONN 1-5 of methods.md written out once more, by formula: no autograd through the weights, no shared code."""
    layers = list(binary_layers(net).values())
    u = [torch.full((layer.out_features,), u0) for layer in layers]
    last = [torch.zeros_like(layer.weight) for layer in layers]
    optimizer = sgd(net)
    for number in range(steps):
        batch = context(net, optimizer, number)
        optimizer.zero_grad()
        for layer in layers:
            layer.quantizer.record, layer.quantizer.grad = True, None
        nn.functional.cross_entropy(net(batch.inputs), batch.labels).backward()
        chosen = []
        for layer in layers:
            w, alpha, g = layer.weight.detach(), layer.binarizer.alpha.detach().abs()[:, None], layer.quantizer.grad
            b = torch.where(w >= 0, 1.0, -1.0)
            layer.weight.grad = alpha * g + recon * (w - alpha * b)
            layer.binarizer.alpha.grad = (g * b).sum(1) - recon * ((w - alpha * b) * b).sum(1)
            size, density = w.abs().mean(1), 1 / alpha[:, 0]
            threshold = int(len(size) * tau)
            ranks = [[int((v < x).sum()) for x in v] for v in (size, density)]
            mask = torch.tensor([r < threshold <= s for r, s in zip(*ranks, strict=True)])
            chosen.append(torch.where(mask[:, None], w, torch.zeros_like(w)))
        optimizer.step()
        for index, layer in enumerate(layers):
            layer.weight.data.add_(u[index][:, None] * chosen[index])
            descent = u[index] - u_lr * 0.1 * (layer.weight.grad * last[index]).sum(1)
            u[index], last[index] = descent.abs().clamp(max=u_max), chosen[index]


def test_rho_zero_and_all_switches_off_is_rbonn_step_for_step(method, step, context):
    numbers = {"tau": 0.6, "recon": 0.01, "u_start": 0.05, "u_max": 0.1, "u_lr": 0.5}
    chosen, net = made(method, "arbonn", **OFF, **numbers)
    other = copy.deepcopy(net).train()
    optimizer = sgd(net)
    for number in range(5):
        step(chosen, net, optimizer, context(net, optimizer, number))
    rbonn_steps(other, context, 5, 0.6, 0.01, 0.05, 0.1, 0.5)
    for one, two in zip(state(net), state(other), strict=True):
        assert torch.allclose(one, two, atol=1e-5)
    plain, untouched = made(method, "arbonn", **{**PLAIN, "recon": 0.01})
    optimizer = sgd(untouched)
    for number in range(5):
        step(plain, untouched, optimizer, context(untouched, optimizer, number))
    assert not torch.allclose(untouched[0].weight, net[0].weight, atol=1e-3), "the recurrence acted"


@pytest.mark.parametrize("tau", [0.0, 1.0])
def test_the_extremes_of_tau_are_plain_bilinear_training(method, step, context, tau):
    results = []
    for options in ({"tau": tau, "u_start": 0.1, "u_max": 0.1}, {"u_start": 0.0, "u_lr": 0.0}):
        chosen, net = made(method, "arbonn", **{**OFF, **options})
        optimizer = sgd(net)
        for number in range(4):
            step(chosen, net, optimizer, context(net, optimizer, number))
        results.append(state(net))
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_tau_f_zero_is_rbonns_selection_and_tau_f_narrows_it(method, step, context):
    for tau_f in (0.0, 0.5, 1.0):
        chosen, net = made(method, "arbonn", tau_f=tau_f)
        optimizer = sgd(net)
        step(chosen, net, optimizer, context(net, optimizer))
        for number, layer in enumerate(binary_layers(net).values()):
            sharpness = getattr(chosen, f"sharpness{number}")
            assert torch.equal(chosen.selected(number), sparse_in_weights(layer, 0.6) & dense(sharpness, tau_f))
            if tau_f == 0:
                assert torch.equal(chosen.selected(number), sparse_in_weights(layer, 0.6))
            if tau_f == 1:
                assert not chosen.selected(number).any()


def test_the_step_is_taken_on_the_gradient_at_w_plus_eps(method, step, context):
    """By hand for one layer without a norm: logits = x (W + eps)^T, SGD."""
    torch.manual_seed(0)
    chosen = method("arbonn", **{**PLAIN, "rho": 0.5})
    net = nn.Sequential(BinaryLinear(12, 4, chosen.binarizer))
    chosen.prepare(net, 1, 64)
    layer, optimizer = net[0], sgd(net)
    batch = context(net, optimizer, domains=1)

    def gradient(weight: torch.Tensor) -> torch.Tensor:
        weight = weight.clone().requires_grad_()
        nn.functional.cross_entropy(batch.inputs @ weight.T, batch.labels).backward()
        return weight.grad

    w, alpha = layer.weight.detach().clone(), layer.binarizer.alpha.detach().clone()
    effective = alpha[:, None] * sign(w)
    g = gradient(effective)
    eps = 0.5 * g / g.norm()
    moved = gradient(effective + eps)
    step(chosen, net, optimizer, batch)
    assert torch.allclose(layer.weight, w - 0.1 * alpha[:, None] * moved, atol=1e-6)
    assert torch.allclose(layer.binarizer.alpha, alpha - 0.1 * (moved * sign(w)).sum(1), atol=1e-6)
    expected = ((moved - g) * eps).sum(1) / eps.square().sum(1)
    assert torch.allclose(chosen.sharpness0, expected, rtol=1e-3), "the first measurement is the average"
    assert layer.quantizer.perturbation is None, "evaluation and export see W itself"


def test_sharpness_is_averaged_and_the_cheap_mode_makes_one_pass_between(method, context):
    for every, passes in ((1, [2, 2, 2, 2]), (3, [2, 1, 1, 2])):
        chosen, net = made(method, "arbonn", k_sharp=every, di_weight=0.0)
        optimizer, counts, averages = sgd(net), [], []
        for number in range(4):
            batch, count = context(net, optimizer, number), [0]

            def closure(batch=batch, count=count, net=net, optimizer=optimizer) -> torch.Tensor:
                count[0] += 1
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(net(batch.inputs), batch.labels)
                loss.backward()
                return loss.detach()

            chosen.step(batch, closure)
            counts.append(count[0])
            averages.append(chosen.sharpness0.clone())
        assert counts == passes
        assert torch.equal(averages[0], averages[1]) == (every == 3)


def test_statistics_move_once_in_a_step_of_two_passes(method, step, context):
    chosen, net = made(method, "arbonn", **{**OFF, "rho": 0.05})
    optimizer = sgd(net)
    before = copy.deepcopy(net)
    batch = context(net, optimizer)
    step(chosen, net, optimizer, batch)
    before.train()(batch.inputs)
    assert torch.equal(net.norm0.running_mean, before.norm0.running_mean)
    assert int(net.norm0.num_batches_tracked) == 1


def test_channels_can_be_permuted_before_a_step_or_after_it(method, step, context):
    order = torch.randperm(10)
    nets = []
    for permuted in (True, False):
        chosen, net = made(method, "arbonn", u_start=0.05, u_max=0.1)
        net.fc0.binarizer.alpha.data *= torch.linspace(0.5, 1.5, 10)  # no two ranks may tie
        optimizer = sgd(net)
        if permuted:
            permute(net, order)
        for number in range(3):
            step(chosen, net, optimizer, context(net, optimizer, number))
        if not permuted:
            permute(net, order)
        nets.append(net)
    for one, other in zip(state(nets[0]), state(nets[1]), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def permute(net: nn.Module, order: torch.Tensor) -> None:
    rows = [net.fc0.weight, net.fc0.binarizer.alpha, net.sign0.beta, net.norm0.weight, net.norm0.bias]
    for tensor in [*rows, net.norm0.running_mean, net.norm0.running_var]:
        tensor.data = tensor.data[order]
    net.fc1.weight.data = net.fc1.weight.data[:, order]


def test_the_domain_module_takes_the_place_of_the_norm_before_a_sign_only(method):
    _, net = made(method, "arbonn")
    assert type(net.norm0) is DomainNorm
    assert type(net.norm1) is nn.BatchNorm1d
    _, net = made(method, "arbonn", domain_norm=False)
    assert type(net.norm0) is nn.BatchNorm1d


def test_nothing_of_a_step_is_left_in_the_network(method, step, context):
    chosen, net = made(method, "arbonn")
    optimizer = sgd(net)
    batch = context(net, optimizer)
    loss = step(chosen, net, optimizer, batch)
    assert loss > 0
    assert net.norm0.domains is None
    assert net.sign0.shifted is None
    copy.deepcopy(net)
    net.eval()
    assert torch.equal(net(batch.inputs), copy.deepcopy(net)(batch.inputs))


def test_k_rises_over_training_and_the_loss_has_its_terms(method, step, context):
    chosen, net = made(method, "arbonn", di_k=5.0)
    for t, k in ((0.0, 1.0), (0.5, 3.0), (1.0, 5.0)):
        chosen.on_progress(t)
        assert chosen.k == k
    optimizer = sgd(net)
    batch = context(net, optimizer)
    net.sign0.keep = True
    net(batch.inputs)
    terms = chosen.loss_terms(batch)
    assert set(terms) == {"reconstruction", "domain_invariance"}
    shifted = net.sign0.shifted.detach()
    rates = torch.stack([torch.tanh(5 * shifted[batch.domains == d]).mean(0) for d in range(2)])
    assert terms["domain_invariance"].item() == pytest.approx(0.1 * rates.var(0, unbiased=False).mean().item(), rel=1e-4)


def test_batches_that_cannot_be_balanced_are_refused(method):
    chosen = method("arbonn")
    net = mlp(NetworkConfig(sizes=(10,)), 12, 4, chosen)
    with pytest.raises(TrainError) as caught:
        chosen.prepare(net, 3, 64)
    assert str(caught.value) == (
        "TrainError: train.batch: 64 images from 3 domains\n"
        "  allowed  a multiple of 3 with at least 16 images of each domain\n  fix      batch = 63"
    )


def test_domains_of_a_data_set_come_in_turn(method):
    domains = torch.tensor([0] * 9 + [1] * 3).numpy()
    order = torch.randperm(12).numpy()
    balanced = method("arbonn").sampler(domains, order)
    assert domains[balanced].tolist() == [0, 1] * 6
    assert set(balanced[1::2]) == {9, 10, 11}
    assert method("arbonn").sampler(domains * 0, order) is order


def test_the_state_is_u_the_last_recurrence_and_the_sharpness(method):
    chosen, _ = made(method, "arbonn")
    names = {f"recurrences.{n}.{name}" for n in range(2) for name in ("u", "previous")} | {"sharpness0", "sharpness1"}
    assert set(chosen.state_dict()) == names


def test_weights_stay_bounded_and_bits_still_flip(method, step, context):
    largest = {}
    for name, options in (("plain", {"u_start": 0.0, "u_lr": 0.0}), ("recurrent", {})):
        chosen, net = made(method, "arbonn", **{**OFF, **options})
        optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
        for number in range(200):
            before = net.fc0.bits()
            step(chosen, net, optimizer, context(net, optimizer, number % 5, lr=5e-3))
            if number >= 150:
                largest[name + " flips"] = largest.get(name + " flips", 0) + int((before ^ net.fc0.bits()).sum())
        largest[name] = float(net.fc0.weight.detach().abs().max())
    assert largest["recurrent"] < 2 * largest["plain"]
    assert largest["recurrent flips"] > 0
