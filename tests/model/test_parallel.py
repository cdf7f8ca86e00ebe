"""Methods under torch.compile, on two processes, and in mixed precision."""

from __future__ import annotations

import math
import os
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from arbonn.errors import TrainError
from arbonn.model.methods.base import Context, Method, objective
from arbonn.model.networks.mlp import mlp
from arbonn.model.recipe import METHODS, NetworkConfig
from arbonn.model.train import Progress, train
from arbonn.settings import parse

BINARIZERS = [name for name in METHODS.names() if METHODS.get(name, "").role == "binarizer"]
CASES = [
    *({"name": name} for name in BINARIZERS),
    {"name": "rbonn", "recurrence": "code", "u_start": 5.0},
    {"name": "rebnn", "gamma": "max"},
    {"name": "sam", "base": {"name": "rebnn"}},
    {"name": "swa", "start": 0.0, "base": {"name": "two-step", "base": {"name": "sbnn"}}},
    {"name": "lcr", "base": {"name": "irnet"}},
    {"name": "kd", "base": {"name": "ste"}},
    {"name": "groupdro", "base": {"name": "coral", "base": {"name": "mixstyle", "probability": 1.0, "base": {"name": "ste"}}}},
]


def test_every_method_of_this_tree_is_among_the_cases():
    inside = " ".join(str(case) for case in CASES)
    assert [name for name in METHODS.names() if f"'{name}'" not in inside] == []


def made(options: dict) -> tuple[Method, nn.Module]:
    torch.manual_seed(3)
    kind = METHODS.get(options["name"], "test")
    method = kind(parse(options, kind.Config, "test"))
    net = mlp(NetworkConfig(sizes=(10, 8)), 12, 4, method)
    method.prepare(net, 2, 64)
    return method, net


def steps(method: Method, net: nn.Module, model: nn.Module, count: int, seed: int = 0) -> None:
    """`model` is what runs forward: the net itself, compiled, or distributed."""
    optimizer = torch.optim.SGD(method.param_groups(net), lr=0.1)
    for group in optimizer.param_groups:
        group["lr"] = 0.1 * group["lr_scale"]
    net.train()
    for number in range(count):
        random = torch.Generator().manual_seed(100 * seed + number)
        inputs, labels = torch.rand(64, 12, generator=random), torch.randint(4, (64,), generator=random)
        context = Context(net, optimizer, inputs, labels, torch.arange(64) % 2, 2, 0, number, 0.1)

        def closure(context: Context = context) -> torch.Tensor:
            optimizer.zero_grad()
            total = objective(method, context, model(context.inputs))
            total.backward()
            return total.detach()

        method.on_progress(number / count)
        method.step(context, closure)
        method.after_step(context)


@pytest.mark.slow
# torch's tracer warns of what it does itself: it makes instances of autograd Functions and asks inner tensors for their gradients
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", CASES, ids=lambda case: "-".join(str(value) for value in case.values() if isinstance(value, str)))
def test_compiled_training_is_eager_training(options):
    """Captured and differentiated by the compiler; without its code generator, which would need a C++ compiler here."""
    states = []
    for compiled in (False, True):
        torch._dynamo.reset()
        method, net = made(options)
        steps(method, net, torch.compile(net, backend="aot_eager") if compiled else net, 3)
        states.append(net.state_dict())
    assert all(torch.allclose(value, states[1][name], atol=1e-4) for name, value in states[0].items())


def _worker(rank: int, folder: Path) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", GLOO_SOCKET_IFNAME="lo")
    store = torch.distributed.FileStore(str(folder / "store"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    torch.set_num_threads(1)
    states = []
    for options in CASES:
        method, net = made(options)
        steps(method, net, nn.parallel.DistributedDataParallel(net, find_unused_parameters=True), 3, seed=rank + 1)
        parameters = {name: value.detach() for name, value in net.named_parameters()}
        states.append({**parameters, **{f"method.{name}": value for name, value in method.state_dict().items()}})
    torch.save(states, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_with_their_own_batches_keep_one_network(tmp_path):
    torch.multiprocessing.spawn(_worker, (tmp_path,), nprocs=2)
    for options, *both in zip(CASES, *(torch.load(tmp_path / f"{rank}.pt") for rank in range(2)), strict=True):
        for one, other in pairwise(both):
            assert all(torch.equal(value, other[name]) for name, value in one.items()), options
        start = made(options)[1].fc0.weight
        assert not torch.equal(both[0]["fc0.weight"], start)


@pytest.mark.slow
@pytest.mark.parametrize("name", BINARIZERS)
def test_mixed_precision_trains(recipe, tmp_path, name):
    outcome = train(recipe(method={"name": name}, train={"epochs": 2, "precision": "bf16-mixed"}), tmp_path)
    assert outcome.float_accuracy > 0.2
    assert math.isfinite(outcome.val_accuracy)


def test_half_precision_is_refused_since_its_gradients_are_scaled(recipe, tmp_path):
    with pytest.raises(TrainError) as caught:
        train(recipe(train={"precision": "16-mixed"}), tmp_path / "run")
    assert str(caught.value) == (
        "TrainError: train.precision: 16-mixed, which scales every gradient\n"
        "  allowed  32-true, bf16-mixed: methods decide by the size of gradients\n"
        '  fix      precision = "bf16-mixed"'
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: torch sees none")
@pytest.mark.parametrize("options", CASES, ids=lambda case: "-".join(str(value) for value in case.values() if isinstance(value, str)))
def test_mixed_precision_trains_on_a_gpu(recipe, tmp_path, options):
    quick = {"teacher_epochs": 2} if options["name"] in ("lcr", "kd") else {}
    settings = {"epochs": 2, "precision": "bf16-mixed", "device": "cuda"}
    assert math.isfinite(train(recipe(method={**options, **quick}, train=settings), tmp_path).val_accuracy)


@pytest.mark.slow
@pytest.mark.parametrize("options", CASES, ids=lambda case: "-".join(str(value) for value in case.values() if isinstance(value, str)))
def test_a_run_that_was_stopped_ends_in_the_bits_of_one_that_was_not(recipe, tmp_path, options):
    quick = {"teacher_epochs": 2} if options["name"] in ("lcr", "kd") else {}
    wanted = recipe(
        method={**options, **quick}, train={"epochs": 3, "batch": 64}, measures={"names": ["flips", "gradients"], "charts": False}
    )

    def stop(progress: Progress) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    whole = train(wanted, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(wanted, tmp_path / "stopped", stop)
    again = train(wanted, tmp_path / "stopped")
    assert (again.measures, again.float_accuracy) == (whole.measures, whole.float_accuracy)
    one, other = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["network"] for name in ("whole", "stopped"))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
