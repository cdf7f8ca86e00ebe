"""What a training method may change, hook by hook. Every default is plain STE, so a method is only what differs from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from arbonn.model.methods.binarizers import LearnableScale
from arbonn.model.recipe import METHODS, MethodConfig
from arbonn.model.surrogates import Binarizer, BiRealSign

if TYPE_CHECKING:
    from arbonn.model.layers import BinaryLinear

register_method = METHODS.register


@dataclass
class Context:
    """What a step may look at. inputs: (N, features); labels, domains: (N,); `domains` counts from 0 to `domain_count` - 1."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    inputs: Tensor
    labels: Tensor
    domains: Tensor
    domain_count: int
    seed: int
    step: int  # counted from the start of training
    lr: float
    loss: Tensor | None = None  # the task's loss of the last forward, with its graph, for terms that are a share of it


@dataclass(frozen=True)
class Lessons:
    """What a teacher learns from: all training images as floats (N, features), their labels, and the run's batch, rate and seed."""

    inputs: Tensor
    labels: Tensor
    batch: int
    lr: float
    seed: int


class Method(nn.Module):
    """A training method: a frozen `Config` and the state that its `state_dict` carries through a resume."""

    Config: ClassVar[type[MethodConfig]] = MethodConfig
    summary: ClassVar[str] = ""  # one line for `arbonn methods`
    paper: ClassVar[str] = ""
    role: ClassVar[Literal["binarizer", "wrapper"]] = "binarizer"  # what a wrapper may contain is in compose.py

    def __init__(self, config: MethodConfig) -> None:
        super().__init__()
        self.config = config

    activation: Callable[[Tensor], Tensor] = staticmethod(BiRealSign.apply)
    """sign of (a + beta) with the method's own backward."""

    def prepare(self, model: nn.Module, domain_count: int, batch: int) -> None:
        """Called once, before the optimizer is made: may swap layers, add a teacher, allocate state, or refuse the set-up."""

    def needs_domains(self) -> bool:
        """Whether the method is without sense on images of a single domain."""
        return False

    def binarizer(self, layer: BinaryLinear) -> Binarizer:
        """Latent to effective weights of one layer; an nn.Module's parameters become the layer's."""
        return LearnableScale(layer.weight)

    def norm(self, layer: BinaryLinear) -> nn.Module:
        """The normalisation between a binary layer and the sign after it."""
        return (nn.BatchNorm2d if layer.weight.dim() == 4 else nn.BatchNorm1d)(layer.out_features)

    def teach(self, lessons: Lessons) -> None:
        """Called once before the first step, not after a resume: may train a teacher of its own on the training images."""

    def param_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """Groups for the optimizer; `lr_scale` multiplies the schedule's rate."""
        return [{"params": [parameter for parameter in model.parameters() if parameter.requires_grad], "lr_scale": 1.0}]

    def sampler(self, domains: npt.NDArray[np.int64], order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The order of an epoch. `order` is a permutation by (seed, epoch), `domains` the images' own domain labels."""
        return order

    def on_progress(self, t: float) -> None:
        """t in [0, 1]: how far training is, before each step."""

    def task_loss(self, context: Context, logits: Tensor) -> Tensor:
        """What the network is trained for, a mean per sample. logits: (N, classes)."""
        return cross_entropy(logits, context.labels)

    def loss_terms(self, context: Context) -> dict[str, Tensor]:
        """Terms added to the task's loss, by name; called after each forward."""
        return {}

    def step(self, context: Context, closure: Callable[[], Tensor]) -> Tensor:
        """One step. `closure` clears the gradients, runs forward and backward, and returns the loss; it may run several times."""
        loss = closure()
        context.optimizer.step()
        return loss

    def after_step(self, context: Context) -> None:
        """After the optimizer's step."""

    def finish(self, model: nn.Module, inputs: Tensor) -> bool:
        """Called once after the last step: may put other weights into `model`. inputs: all training images as floats, unvaried.

        Returns True if it did: then these weights are measured and exported, in place of the selected epoch's.
        """
        return False

    def measures(self) -> dict[str, float]:
        """Numbers of the epoch for the log."""
        return {}


def objective(method: Method, context: Context, logits: Tensor) -> Tensor:
    """The whole loss of one forward: the task's and the method's own terms, which see the task's in `context.loss`."""
    context.loss = method.task_loss(context, logits)
    total = context.loss + sum(method.loss_terms(context).values())
    context.loss = None  # a kept graph would hold the step's memory
    return total


def averaged(gradient: Tensor) -> Tensor:
    """The mean of a recorded gradient over all processes of a data-parallel run: what is decided from it must be decided alike.

    DistributedDataParallel averages the gradients of parameters only; what a quantizer recorded is this process's own.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        gradient = gradient.clone()
        torch.distributed.all_reduce(gradient)
        gradient /= torch.distributed.get_world_size()
    return gradient


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Inside, a forward in training mode leaves the running statistics of all norms alone (a second pass over one batch)."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    kept = [norm.track_running_stats for norm in norms]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm, tracked in zip(norms, kept, strict=True):
            norm.track_running_stats = tracked
