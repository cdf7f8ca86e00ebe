"""`two-step`: first binary activations with real weights, then binary weights, around any method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor, nn

from arbonn.model.methods.base import Context, register_method
from arbonn.model.methods.binarizers import l1
from arbonn.model.methods.wrapper import Wrapper, WrapperConfig


@register_method("two-step")
class TwoStep(Wrapper):
    """Two-step training (Real-to-Binary, arXiv 2003.11535; ReActNet, RBONN and ReBNN train so).

    Stage 1, the first `share` of training: W = w, binary activations, weight decay `weight_decay`. Stage 2: everything goes on from
    there with the base's binary weights, no weight decay, learnt scales started again at mean |w_c|; the base sees its own progress
    from 0 to 1 in stage 2, and takes plain steps in stage 1. Evaluation and export always see the bits, so a best epoch is one of
    stage 2. The papers restart the learning rate's schedule; here the two stages share one.
    State  whether stage 2 has begun.   Hardware  the base's.
    """

    summary = "stage 1 with real weights and binary activations, stage 2 binary, around another method"
    paper = "Real-to-Binary, ICLR 2020, arXiv 2003.11535"

    class Config(WrapperConfig):
        """`share` of the epochs in stage 1."""

        share: Annotated[float, Field(gt=0, lt=1)] = 0.5
        weight_decay: NonNegativeFloat = 1e-5

    def prepare(self, model: nn.Module, domain_count: int, batch: int) -> None:
        from arbonn.model.layers import binary_layers

        super().prepare(model, domain_count, batch)
        self.layers = list(binary_layers(model).values())
        self.register_buffer("begun", torch.tensor(False))
        self.on_progress(0.0)

    def on_progress(self, t: float) -> None:
        self.real = t < self.config.share
        for layer in self.layers:
            layer.quantizer.real = self.real
        super().on_progress(0.0 if self.real else (t - self.config.share) / (1 - self.config.share))

    def step(self, context: Context, closure: Callable[[], Tensor]) -> Tensor:
        for group in context.optimizer.param_groups:
            group["weight_decay"] = self.config.weight_decay if self.real else 0.0
        if self.real:
            loss = closure()
            context.optimizer.step()
            return loss
        if not self.begun:
            self._begin()
        return super().step(context, closure)

    def loss_terms(self, context: Context) -> dict[str, Tensor]:
        return {} if self.real else super().loss_terms(context)

    def after_step(self, context: Context) -> None:
        if not self.real:
            super().after_step(context)

    @torch.no_grad()
    def _begin(self) -> None:
        self.begun.fill_(True)
        for layer in self.layers:
            alpha = getattr(layer.binarizer, "alpha", None)
            if alpha is not None:
                alpha.copy_(l1(layer.weight))
