"""What a step of each training method costs over a step of the same network in plain PyTorch, written out by hand.

Bounds: two passes cost `sam` and `arbonn` 2.0, less what ours saves in both (a maximum of bits by slices); `arbonn` has besides, in
each pass, a norm with statistics of every sample and a firing rate of every channel. `lcr` keeps pairs of stages, four of CNV's here;
a pair for each neighbouring convolution, which the paper does not ask for, would take 1.4 times (plain + teacher).
A ratio is good to about 5 %: processor time does not count what else runs, but caches and memory are shared with it.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, hardtanh, linear

from arbonn.flows.bench.rows import Row
from arbonn.model import networks
from arbonn.model.layers import BinaryConv2d, BinaryLinear, SignActivation
from arbonn.model.methods.base import Context, Method, objective
from arbonn.model.methods.lcr import Lcr
from arbonn.model.methods.lipschitz import retention
from arbonn.model.recipe import METHODS, NetworkConfig, method_config
from arbonn.settings import parse

PLAIN = "plain PyTorch STE"
PUBLISHED = "lcr as its published code has it"
GOALS: dict[str, tuple[dict[str, Any], float]] = {
    "ste": ({"name": "ste"}, 1.15),
    "rbonn": ({"name": "rbonn"}, 1.15),
    "rbonn, code's form": ({"name": "rbonn", "recurrence": "code"}, 1.15),
    "rebnn": ({"name": "rebnn"}, 1.15),
    "sbnn": ({"name": "sbnn"}, 1.15),
    "irnet": ({"name": "irnet"}, 1.15),
    "lcr": ({"name": "lcr"}, 1.25),
    "sam, effective": ({"name": "sam", "base": {"name": "ste"}}, 2.3),
    "arbonn": ({"name": "arbonn"}, 2.3),
}
"""Each method and how many times the plain step it may take; `lcr`'s plain step has the teacher's forward in it."""


class _Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sign()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return g * (x.abs() <= 1)


class _BiReal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sign()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return g * (2 - 2 * x.abs()).clamp(min=0)


class _PlainLayer(nn.Module):
    """alpha sign(w) as a user would write it, clipped identity backward."""

    def __init__(self, layer: BinaryLinear | BinaryConv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(layer.weight.detach().clone())
        self.alpha = nn.Parameter(self.weight.detach().abs().flatten(1).mean(1))
        self.place: Any = (layer.stride, layer.padding) if isinstance(layer, BinaryConv2d) else None

    def forward(self, x: Tensor) -> Tensor:
        w = self.alpha.view(-1, *[1] * (self.weight.dim() - 1)) * _Sign.apply(self.weight)
        return linear(x, w) if self.place is None else conv2d(x, w, None, *self.place)


class _PlainSign(nn.Module):
    def __init__(self, sign: SignActivation) -> None:
        super().__init__()
        self.beta = nn.Parameter(sign.beta.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        return _BiReal.apply(x + self.beta.view(-1, *[1] * (x.dim() - 2)))


def plain(network: nn.Module) -> nn.Module:
    """The same network without anything of ours in its layers."""
    twin = copy.deepcopy(network)
    for name, module in network.named_modules():
        if isinstance(module, BinaryLinear | BinaryConv2d):
            twin.set_submodule(name, _PlainLayer(module))
        elif isinstance(module, SignActivation):
            twin.set_submodule(name, _PlainSign(module))
        elif isinstance(module, nn.MaxPool2d):
            twin.set_submodule(name, nn.MaxPool2d(2))
    return twin


def built(options: dict[str, Any], config: NetworkConfig, image: tuple[int, int, int], batch: int) -> tuple[Method, nn.Module]:
    """A method and its network, with the weights of seed 0, for batches of two domains."""
    torch.manual_seed(0)
    parsed = method_config(options, "bench")
    method: Method = METHODS.get(parsed.name, "bench")(parsed)
    network = networks.build(config, image, 10, method)
    method.prepare(network, 2, batch)
    return method, network


def steps(method: Method, network: nn.Module, inputs: Tensor, labels: Tensor) -> Callable[[], None]:
    """One step of training as the loop makes it, without the loop's measures."""
    optimizer = torch.optim.Adam(method.param_groups(network), lr=1e-3)
    domains = torch.arange(len(labels)) % 2
    number = 0

    def step() -> None:
        nonlocal number
        context = Context(network, optimizer, inputs, labels, domains, 2, 0, number, 1e-3)

        def closure() -> Tensor:
            optimizer.zero_grad()
            total = objective(method, context, network(inputs))
            total.backward()
            return total.detach()

        network.train()
        method.on_progress(0.5)
        method.step(context, closure)
        method.after_step(context)
        number += 1

    return step


def plain_steps(network: nn.Module, inputs: Tensor, labels: Tensor) -> Callable[[], None]:
    """The loop of a tutorial."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)

    def step() -> None:
        network.train()
        optimizer.zero_grad()
        cross_entropy(network(inputs), labels).backward()
        optimizer.step()

    return step


def published_lcr_steps(method: Lcr, network: nn.Module, inputs: Tensor, labels: Tensor) -> Callable[[], None]:
    """LCR as its published code arranges it: both networks a second time for the stages, RM RM^T itself, one iteration, autograd.

    The stages are ours, so that only the arrangement differs; the teacher's second forward is in training mode there.
    """
    optimizer = torch.optim.Adam(method.param_groups(network), lr=1e-3)

    def sigmas(stages: list[Tensor]) -> Iterator[Tensor]:
        for f, g in pairwise(stages):
            rm = retention(f, g)
            yield (rm @ rm.transpose(1, 2) @ torch.ones_like(rm[..., :1])).flatten(1).norm(dim=1).sqrt()

    def step() -> None:
        network.train()
        method.on_progress(0.5)
        loss = cross_entropy(network(inputs), labels)
        seen: list[Tensor] = []
        hooks = [sign.quant.register_forward_pre_hook(lambda module, given: seen.append(hardtanh(given[0]))) for sign in method.signs]
        network(inputs)
        for hook in hooks:
            hook.remove()
        with torch.no_grad():
            method.teacher(inputs)
            outputs = method.teacher.train()(inputs)[1]
        wanted = sigmas([outputs[number] for number in method.ends])
        gaps = [(one - other).square().mean() for one, other in zip(sigmas(seen), wanted, strict=True)]
        optimizer.zero_grad()
        (loss + torch.stack(gaps).sum()).backward()
        optimizer.step()

    return step


def methods(config: NetworkConfig, image: tuple[int, int, int], batch: int, rounds: int = 5) -> Iterator[Row]:
    """Steps of all methods in turn, the best of `rounds` each, by processor time: what else runs here counts for nobody."""
    inputs, labels = (
        torch.rand(batch, *(image if networks.takes_images(config) else (image[0] * image[1] * image[2],))),
        torch.arange(batch) % 10,
    )
    work: dict[str, Callable[[], object]] = {}
    for name, (options, _) in GOALS.items():
        method, network = built(options, config, image, batch)
        work[name] = steps(method, network, inputs, labels)
        if isinstance(method, Lcr):
            method.teacher.eval().requires_grad_(False)
            work["teacher"] = partial(method.taught, inputs)
            work[PUBLISHED] = published_lcr_steps(*built(options, config, image, batch), inputs, labels)
    work[PLAIN] = plain_steps(plain(built({"name": "ste"}, config, image, batch)[1]), inputs, labels)
    best = dict.fromkeys(work, float("inf"))
    for turn in range(rounds + 1):
        for name, step in work.items():
            begin = time.process_time()
            step()
            if turn:  # the first one allocates
                best[name] = min(best[name], time.process_time() - begin)
    what = f"{config.name}, batch {batch}"
    yield Row(f"{what}: {PLAIN}", 1 / best[PLAIN], "steps/s")
    for name, (_, goal) in GOALS.items():
        base, against = (best[PLAIN] + best["teacher"], "plain + teacher") if name == "lcr" else (best[PLAIN], "plain")
        yield Row(f"{what}: {name}, time of a step", 1 / best[name], "steps/s", best[name] / base, against, goal, less=True)
    yield Row(f"{what}: {PUBLISHED}", 1 / best[PUBLISHED], "steps/s", best[PUBLISHED] / best["lcr"], "our lcr")


def cnv_methods() -> list[Row]:
    """At CNV's size, on 32x32 colour images."""
    torch.set_num_threads(1)
    return list(methods(parse({"name": "cnv"}, NetworkConfig, "bench"), (3, 32, 32), 64))
