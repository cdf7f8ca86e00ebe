"""Shared by the tests of arbonn.model: one thread, a small recipe, a small binary net."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from arbonn.model.methods.base import Context, Method, objective
from arbonn.model.networks.mlp import mlp
from arbonn.model.recipe import METHODS, NetworkConfig, TrainRecipe
from arbonn.settings import parse


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def recipe() -> Callable[..., TrainRecipe]:
    """recipe(method={...}, train={...}): a run of about a second."""

    def make(method: dict[str, Any] | None = None, train: dict[str, Any] | None = None, **top: Any) -> TrainRecipe:
        data = {
            "name": "small",
            "data": {"name": "digits", "augment": ["none", "shift"]},
            "network": {"name": "mlp", "sizes": [24, 16]},
            "method": method or {"name": "ste"},
            "train": {"epochs": 3, "batch": 64, "tensorboard": False, **(train or {})},
            **top,
        }
        return parse(data, TrainRecipe, "test")

    return make


@pytest.fixture
def method() -> Callable[..., Method]:
    """method("arbonn", rho=0.0): a method by name, from its options."""

    def make(name: str, **options: Any) -> Method:
        kind = METHODS.get(name, "test")
        return kind(parse({"name": name, **options}, kind.Config, "test"))

    return make


@pytest.fixture
def built(method) -> Callable[..., tuple[Method, nn.Module]]:
    """built("rbonn", tau=0.5): (method, net) with the same initial weights for every method: 12 -> hidden 10 -> 4 classes."""

    def make(name: str, domains: int = 1, **options: Any) -> tuple[Method, nn.Module]:
        torch.manual_seed(3)
        chosen = method(name, **options)
        net = mlp(NetworkConfig(sizes=(10,)), 12, 4, chosen)
        chosen.prepare(net, domains, 64)
        return chosen, net

    return make


@pytest.fixture
def run(step, context) -> Callable[..., list[torch.Tensor]]:
    """run(method, net, steps=4): SGD steps of rate 0.1 (or `optimizer`); returns a copy of the net's whole state."""

    def go(method: Method, net: nn.Module, steps: int = 4, first: int = 0, optimizer: Any = None) -> list[torch.Tensor]:
        optimizer = optimizer or torch.optim.SGD(method.param_groups(net), lr=0.1)
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * group["lr_scale"]
        for number in range(first, first + steps):
            method.on_progress(number / (first + steps))
            step(method, net, optimizer, context(net, optimizer, number))
        return [value.clone() for value in net.state_dict().values()]

    return go


@pytest.fixture
def step() -> Callable[..., torch.Tensor]:
    """step(method, net, optimizer, context): one step as the training loop makes it, on cross entropy; returns the loss."""

    def run(method: Method, net: nn.Module, optimizer: torch.optim.Optimizer, context: Context) -> torch.Tensor:
        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            total = objective(method, context, net(context.inputs))
            total.backward()
            return total.detach()

        net.train()
        loss = method.step(context, closure)
        method.after_step(context)
        return loss

    return run


@pytest.fixture
def context() -> Callable[..., Context]:
    """context(net, optimizer, step=0, domains=2): a drawn batch of 64 frames of 12 features in 4 classes."""

    def make(net: nn.Module, optimizer: torch.optim.Optimizer, step: int = 0, domains: int = 2, lr: float = 0.1) -> Context:
        random = torch.Generator().manual_seed(100 + step)
        return Context(
            model=net,
            optimizer=optimizer,
            inputs=torch.rand(64, 12, generator=random),
            labels=torch.randint(4, (64,), generator=random),
            domains=torch.arange(64) % domains,
            domain_count=domains,
            seed=0,
            step=step,
            lr=lr,
        )

    return make
