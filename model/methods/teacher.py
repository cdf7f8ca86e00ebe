"""A teacher for methods that want one: the float twin of the network, trained on the same images before the first step."""

from __future__ import annotations

import copy
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from arbonn.errors import TrainError
from arbonn.model.methods.base import Lessons
from arbonn.model.methods.wrapper import Wrapper, WrapperConfig
from arbonn.model.recipe import MethodConfig


class TaughtConfig(WrapperConfig):
    """How the teacher is trained: Adam, batch of the run, linear decay."""

    teacher_epochs: PositiveInt = Field(30, description="passes of the teacher over the training images")
    teacher_lr: PositiveFloat = 1e-3


class Taught(Wrapper):
    """A wrapper with a float twin. Its weights travel in the state_dict, so a resumed run has the teacher that it began with."""

    Config: ClassVar[type[MethodConfig]] = TaughtConfig

    def prepare(self, model: nn.Module, domain_count: int, batch: int) -> None:
        super().prepare(model, domain_count, batch)
        with torch.random.fork_rng(devices=[]):  # its own draws: the network of a seed stays what it is without a teacher
            torch.manual_seed(0)
            self.teacher = FloatTwin(model)

    def teach(self, lessons: Lessons) -> None:
        super().teach(lessons)
        fit(self.teacher, lessons, self.config.teacher_epochs, self.config.teacher_lr)

    @torch.no_grad()
    def taught(self, inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(logits, stages) of the teacher: evaluation mode, no gradient, its buffers stay as they are."""
        self.teacher.eval()
        return self.teacher(inputs)


class FloatTwin(nn.Module):
    """A network with real weights and batch norms, ReLU for each sign, zeros for padding and no quantizer; its own draws of weights."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.net = copy.deepcopy(model)
        for name, module in model.named_modules():
            twin = _twin(module)
            if twin is not None:
                self.net.set_submodule(name, twin)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, ...) -> logits (N, classes), and each stage after its ReLU."""
        logits = self.net(x)
        stages = []
        for module in self.net.modules():
            if isinstance(module, _Stage):
                stages.append(module.seen)
                module.seen = None  # a kept graph would hold the step's memory
        return logits, stages


class _Stage(nn.Module):
    """ReLU that keeps what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x.relu()
        return self.seen


class _Norm(nn.BatchNorm1d):
    """BatchNorm of features or maps."""

    def _check_input_dim(self, x: Tensor) -> None:
        pass


def _twin(module: nn.Module) -> nn.Module | None:
    """What stands in the place of a module; None where it stays."""
    from arbonn.model.layers import SignActivation
    from arbonn.model.norm_free import Damped, QuantizedPRelu
    from arbonn.model.residual import RPRelu, Stream

    if isinstance(module, nn.Linear):
        return nn.Linear(module.in_features, module.out_features, bias=False)
    if isinstance(module, nn.Conv2d):
        shape = module.in_channels, module.out_channels, module.kernel_size, module.stride, module.padding
        return nn.Conv2d(*shape, bias=False)
    if isinstance(module, SignActivation):
        return _Stage()
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return _Norm(module.num_features)
    if isinstance(module, QuantizedPRelu):
        return _Norm(len(module.m1))
    if isinstance(module, Damped):
        return _Norm(len(module.bias))
    if isinstance(module, Stream | RPRelu):
        return nn.Identity()
    if isinstance(module, nn.ConstantPad2d):
        return nn.ConstantPad2d(module.padding, 0.0)
    return None


def fit(teacher: FloatTwin, lessons: Lessons, epochs: int, lr: float) -> None:
    """Trains `teacher` on cross entropy and freezes it; a function of its start and the lessons alone."""
    steps = len(lessons.inputs) // lessons.batch
    optimizer = torch.optim.Adam(teacher.parameters(), lr=lr)
    teacher.train()
    for epoch in range(epochs):
        order = torch.from_numpy(np.random.default_rng((lessons.seed, epoch)).permutation(len(lessons.inputs))).to(lessons.inputs.device)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = lr * (1 - (epoch * steps + step) / (epochs * steps))
            rows = order[step * lessons.batch : (step + 1) * lessons.batch]
            loss = cross_entropy(teacher(lessons.inputs[rows])[0], lessons.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    if not bool(torch.isfinite(loss)):
        raise TrainError("method.teacher_lr", found=f"the teacher's loss is {loss.item()}", allowed="a finite loss", fix="lower it")
    teacher.eval().requires_grad_(False)
