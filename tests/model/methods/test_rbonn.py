"""`rbonn`: both recurrences by their formulas, the limits of tau, both selections, and what the published code got wrong."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from arbonn.model.layers import binary_layers
from arbonn.model.methods.density import by_index, reconstruction, sparse_in_weights
from arbonn.model.surrogates import sign

STRONG = {"recon_weight": 0.01, "u_start": 0.05, "u_max": 0.1, "u_lr": 0.5}
FORMS = [{}, {"recurrence": "code"}]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def weights(net: nn.Module) -> list[torch.Tensor]:
    return [tensor.detach().clone() for layer in binary_layers(net).values() for tensor in (layer.weight, layer.binarizer.alpha)]


def test_the_papers_form_is_arbonn_with_its_own_parts_off(built, run):
    """Test `rbonn_steps` of test_arbonn.py checks that one by formula."""
    off = {"rho": 0.0, "tau_f": 0.0, "domain_norm": False, "di_weight": 0.0}
    numbers = {"u_start": 0.05, "u_max": 0.1, "u_lr": 0.5}
    assert same(run(*built("rbonn", **STRONG)), run(*built("arbonn", **off, **numbers, recon=0.01)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tau", [0.0, 1.0])
def test_the_extremes_of_tau_are_plain_bilinear_training_bit_for_bit(built, run, form, tau):
    states = []
    for options in ({"tau": tau, "u_start": 0.1, "u_max": 0.1}, {"u_start": 0.0, "u_lr": 0.0}):
        chosen, net = built("rbonn", **form, **options)
        run(chosen, net)
        states.append(weights(net))
    assert same(*states)
    chosen, net = built("rbonn", **form, u_start=50.0, u_max=50.0)  # the code's form acts only where it carries a weight through 0
    run(chosen, net)
    assert not same(weights(net), states[0]), "in between, the recurrence acts"


def test_plain_bilinear_training_without_its_term_is_ste(built, run):
    off = {"recon_weight": 0.0, "u_start": 0.0, "u_lr": 0.0}
    assert same(run(*built("rbonn", **off)), run(*built("ste", weight_clip=False)))
    assert same(run(*built("rbonn", **off, weight_clip=True)), run(*built("ste")))


def test_the_codes_form_by_its_formula(built, run):
    """Written out once more: w is stepped on the gradient at w - U m dw', U by SGD at u_lr of the rate; no autograd through either."""
    chosen, net = built("rbonn", recurrence="code", u_start=0.5, recon_weight=0.0)
    run(chosen, net, 1)
    other = copy.deepcopy(net)
    layers = list(binary_layers(other).values())
    gradients = [layer.binarizer.gradient.clone() for layer in layers]
    assert all(float(gradient.abs().sum()) > 0 for gradient in gradients)
    masks = [sparse_in_weights(layer, 0.6) for layer in layers]
    assert all(mask.any() and not mask.all() for mask in masks)
    before = [layer.weight.detach().clone() for layer in layers]
    us = [layer.binarizer.u.detach().clone() for layer in layers]
    plain, shifted = built("ste", weight_clip=False)
    for source, layer, u, mask, gradient in zip(layers, binary_layers(shifted).values(), us, masks, gradients, strict=True):
        layer.weight.data = source.weight.detach() - u[:, None] * mask[:, None] * gradient
        layer.binarizer.alpha.data = source.binarizer.alpha.detach()
    for name in ("norm0", "sign0", "norm1"):
        getattr(shifted, name).load_state_dict(getattr(other, name).state_dict())
    run(plain, shifted, 1, first=1)
    run(chosen, net, 1, first=1)
    for index, (layer, stepped) in enumerate(zip(binary_layers(net).values(), binary_layers(shifted).values(), strict=True)):
        dw = stepped.weight.grad
        assert torch.allclose(layer.weight, before[index] - 0.1 * dw, atol=1e-6), "w itself was not moved by the recurrence"
        du = -(dw * gradients[index]).sum(1) * masks[index]
        assert torch.allclose(layer.binarizer.u, us[index] - 0.01 * du, atol=1e-6)
        assert torch.allclose(layer.binarizer.gradient, dw, atol=1e-6)
        assert torch.allclose(layer.binarizer.alpha, stepped.binarizer.alpha, atol=1e-6)


def test_in_the_codes_form_evaluation_and_export_see_the_weights_themselves(built, run):
    chosen, net = built("rbonn", recurrence="code", u_start=50.0)
    run(chosen, net, 2)
    layer = net.fc0
    layer.binarizer.select(torch.ones(10, dtype=torch.bool))
    assert torch.equal(layer.bits(), layer.weight >= 0)
    assert not torch.equal(layer.binarizer(layer.weight).detach() >= 0, layer.weight >= 0), "training sees others"


def test_u_is_an_ordinary_parameter_of_the_optimizer_in_the_codes_form_only(built):
    chosen, net = built("rbonn", recurrence="code")
    rest, rates = chosen.param_groups(net)
    assert rates["lr_scale"] == 0.1
    assert [float(u.detach()[0]) for u in rates["params"]] == pytest.approx([0.2, 0.2])
    assert len(rest["params"]) + 2 == len(list(net.parameters()))
    chosen, net = built("rbonn")
    assert len(chosen.param_groups(net)) == 1
    assert float(chosen.recurrences[0].u[0]) == pytest.approx(1e-4)


def test_selection_by_index_is_the_codes_and_no_rank(built, run):
    chosen, net = built("rbonn", select="index", u_start=0.1, u_max=0.1)
    net.fc0.binarizer.alpha.data = 1 / torch.tensor([5.0, 1, 4, 2, 3, 9, 8, 7, 6, 0.5])
    # argsort of A: places 9 1 3 4 2 0 8 7 6 5; those below int(10 * 0.4) = 4
    assert by_index(net.fc0, 0.6).tolist() == [value < 4 for value in (9, 1, 3, 4, 2, 0, 8, 7, 6, 5)]
    assert torch.equal(chosen.selected(net.fc0), by_index(net.fc0, 0.6))
    indexed = run(chosen, net)
    chosen, net = built("rbonn", u_start=0.1, u_max=0.1)
    net.fc0.binarizer.alpha.data = 1 / torch.tensor([5.0, 1, 4, 2, 3, 9, 8, 7, 6, 0.5])
    assert torch.equal(chosen.selected(net.fc0), sparse_in_weights(net.fc0, 0.6))
    assert not same(indexed, run(chosen, net))


def test_the_two_reconstruction_terms_and_their_gradients(built):
    _, net = built("rbonn")
    layer = net.fc0
    layer.binarizer.alpha.data.fill_(0.05)
    gradients = {}
    for of in ("w", "b"):
        layer.weight.grad = None
        reconstruction(layer, of).backward()
        gradients[of] = layer.weight.grad.clone()
    gap = layer.weight.detach() - 0.05 * sign(layer.weight.detach())
    assert torch.allclose(gradients["w"], gap)
    assert torch.allclose(gradients["b"], 2 / 0.05**2 * gap, rtol=1e-4)
    assert (gradients["b"] / gradients["w"]).median().item() == pytest.approx(800, rel=1e-3)


@pytest.mark.parametrize("recon", ["w", "b"])
def test_the_term_enters_the_loss_with_its_lambda(built, recon):
    chosen, net = built("rbonn", recon=recon, recon_weight=0.5)
    expected = 0.5 * (reconstruction(net.fc0, recon) + reconstruction(net.fc1, recon))
    assert torch.allclose(chosen.loss_terms(None)["reconstruction"], expected)
    assert built("rbonn", recon_weight=0.0)[0].loss_terms(None) == {}


@pytest.mark.parametrize("form", FORMS)
def test_resuming_is_the_same_as_not_stopping_bit_for_bit(built, run, form):
    whole = run(*built("rbonn", **STRONG, **form), 6)
    chosen, net = built("rbonn", **STRONG, **form)
    run(chosen, net, 3)
    kept = copy.deepcopy((chosen.state_dict(), net.state_dict()))
    chosen, net = built("rbonn", **STRONG, **form)
    chosen.load_state_dict(kept[0])
    net.load_state_dict(kept[1])
    assert same(run(chosen, net, 3, first=3), whole)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_may_be_accumulated(built, context, form):
    """A backward for each half of the batch is one for the whole: the published code would read half a gradient."""
    states = []
    for parts in (1, 2):
        chosen, net = built("rbonn", **{**STRONG, **form})
        net.eval()  # frozen statistics: only then do halves add up to the whole
        optimizer = torch.optim.SGD(chosen.param_groups(net), lr=0.1)
        for number in range(3):
            batch = context(net, optimizer, number)

            def closure(batch=batch, parts=parts, net=net, chosen=chosen, optimizer=optimizer) -> torch.Tensor:
                optimizer.zero_grad()
                for x, y in zip(batch.inputs.chunk(parts), batch.labels.chunk(parts), strict=True):
                    total = nn.functional.cross_entropy(net(x), y) + sum(chosen.loss_terms(batch).values())
                    (total / parts).backward()
                return total.detach()

            chosen.step(batch, closure)
        states.append(weights(net) + list(chosen.state_dict().values()))
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(*states, strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_weights_stay_bounded_and_bits_still_flip(built, step, context, form):
    largest, flips = {}, 0
    for name, options in (("plain", {"u_start": 0.0, "u_lr": 0.0}), ("recurrent", {})):
        chosen, net = built("rbonn", **form, **options)
        optimizer = torch.optim.Adam(chosen.param_groups(net), lr=5e-3)
        for number in range(200):
            before = net.fc0.bits()
            step(chosen, net, optimizer, context(net, optimizer, number % 5, lr=5e-3))
            flips += int((before ^ net.fc0.bits()).sum()) if name == "recurrent" and number >= 150 else 0
        largest[name] = float(net.fc0.weight.detach().abs().max())
    assert largest["recurrent"] < 2 * largest["plain"]
    assert flips > 0


def test_measures(built):
    chosen, _ = built("rbonn")
    assert chosen.measures() == {"u": pytest.approx(1e-4), "selected": pytest.approx((4 + 2) / 14)}
    assert built("rbonn", recurrence="code")[0].measures()["u"] == pytest.approx(0.2)
