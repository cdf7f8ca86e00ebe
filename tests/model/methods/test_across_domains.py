"""What `coral`, `groupdro` and `mixstyle` share: balanced batches, a batch that is refused, a single domain that is refused."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from arbonn.errors import TrainError
from arbonn.model.methods.across_domains import balanced
from arbonn.model.train import train

NAMES = ["coral", "groupdro", "mixstyle"]
OFF = {"coral": {"weight": 0.0}, "groupdro": {"eta": 0.0}, "mixstyle": {"probability": 0.0}}
STRONG = {"coral": {"weight": 10.0}, "groupdro": {"eta": 1.0}, "mixstyle": {"probability": 1.0}}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(0, 99))
def test_every_stretch_of_a_balanced_order_holds_each_domain_equally_often(domains, seed):
    labels = np.array(domains)
    order = np.random.default_rng(seed).permutation(len(labels))
    found = labels[balanced(labels, order)]
    present = len(np.unique(labels))
    assert len(found) == len(labels) // present * present
    assert all(len(np.unique(part)) == present for part in found.reshape(-1, present))
    if present == 1:
        assert np.array_equal(balanced(labels, order), order)


@pytest.mark.parametrize("name", NAMES)
def test_switched_off_is_the_method_inside(built, run, name):
    plain = run(*built("rebnn", domains=2))
    around = run(*built(name, domains=2, base={"name": "rebnn"}, **OFF[name]))
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(plain, around, strict=True))
    changed = run(*built(name, domains=2, base={"name": "rebnn"}, **STRONG[name]))
    assert not all(torch.allclose(one, other, atol=1e-6) for one, other in zip(plain, changed, strict=True))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("inside", [{"name": "sam", "base": {"name": "irnet"}}, {"name": "arbonn"}, {"name": "lcr"}, {"name": "two-step"}])
def test_they_go_around_other_methods_and_leave_the_network_as_it_was(built, run, name, inside):
    inside = {"base": {"name": "ste"}, **inside} if inside["name"] == "two-step" else inside
    torch.manual_seed(3)
    from arbonn.model.networks.mlp import mlp
    from arbonn.model.recipe import METHODS, NetworkConfig
    from arbonn.settings import parse

    kind = METHODS.get(name, "test")
    chosen = kind(parse({"name": name, "base": inside, **STRONG[name]}, kind.Config, "test"))
    net = mlp(NetworkConfig(sizes=(10, 8)), 12, 4, chosen)
    chosen.prepare(net, 2, 64)
    run(chosen, net)
    assert all(torch.isfinite(value).all() for value in net.state_dict().values())
    assert all(np.isfinite(value) for value in chosen.measures().values())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    copy.deepcopy(net)  # no graph is kept


@pytest.mark.parametrize("name", NAMES)
def test_a_run_on_domains_of_its_own_keeps_batches_balanced(recipe, tmp_path, name):
    digits = {"name": "rotated-digits", "leave_out": "75deg"}
    outcome = train(recipe(data=digits, method={"name": name, "base": {"name": "ste"}}, train={"batch": 80, "epochs": 2}), tmp_path)
    assert outcome.float_accuracy > 0.15
    assert ("worst_domain_share" in outcome.measures) == (name == "groupdro")


@pytest.mark.parametrize("name", NAMES)
def test_one_domain_is_refused(recipe, tmp_path, name):
    single = {"name": "digits", "augment": ["shift"]}
    with pytest.raises(TrainError) as caught:
        train(recipe(data=single, method={"name": name, "base": {"name": "ste"}}), tmp_path / "run")
    assert str(caught.value) == (
        "TrainError: small: data.augment: 1 domain, shift\n"
        f"  allowed  at least 2 domains: `{name}` compares them\n"
        '  fix      augment = ["none", "shift"], a data set with domains, or another method'
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_that_domains_do_not_share_is_refused(recipe, tmp_path, name):
    with pytest.raises(TrainError) as caught:
        train(recipe(method={"name": name, "base": {"name": "ste"}}, train={"batch": 65}), tmp_path / "run")
    assert str(caught.value) == (
        "TrainError: train.batch: 65 images from 2 domains\n"
        "  allowed  a multiple of 2 with at least 2 images of each domain\n"
        "  fix      batch = 64"
    )
