"""A teacher for methods that want one: the float twin of the network, trained on the same images before the first step."""

from __future__ import annotations

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
    """Linear, BatchNorm, ReLU for each hidden binary layer of a network, then Linear and BatchNorm, of the same sizes."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        from arbonn.model.layers import binary_layers

        layers = list(binary_layers(model).values())
        self.linears = nn.ModuleList(nn.Linear(layer.in_features, layer.out_features, bias=False) for layer in layers)
        self.norms = nn.ModuleList(nn.BatchNorm1d(layer.out_features) for layer in layers)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, features) -> logits (N, classes), and each hidden stage after its ReLU."""
        stages: list[Tensor] = []
        for linear, norm in zip(self.linears, self.norms, strict=True):
            x = norm(linear(x))
            if len(stages) < len(self.linears) - 1:
                x = x.relu()
                stages.append(x)
        return x, stages


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
