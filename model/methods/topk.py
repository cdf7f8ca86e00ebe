"""`topk`: few connections a neuron: the signs of each filter's largest latent weights, 0 for all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from arbonn.model.methods.base import Context, Method, register_method
from arbonn.model.methods.binarizers import LargestSigns
from arbonn.model.recipe import MethodConfig
from arbonn.model.surrogates import Binarizer

if TYPE_CHECKING:
    from arbonn.model.layers import BinaryLinear

LIMIT = 1.0  # of the latent weights


@register_method("topk")
class TopK(Method):
    """Signs of the largest weights alone, after Top-KAST (NeurIPS 2020, arXiv 2106.03517); not SBNN, whose weights have two values.

    Forward   W_c = alpha sign(w) on the `fan_in` largest |w| of a filter, 0 elsewhere; alpha = 2^-round(log2(fan_in) / 2).
    Backward  dL/dw = dL/dW where |w| <= 1, for all weights: one that is left out grows until it pays, and takes another's place.
              (Top-KAST's backward is sparse too; ours is dense, as its set B of all weights.)
    State     none beyond w, clamped to [-1, 1].
    Hardware  weights -1, 0 and 1, of which only the connections cost; a neuron of at most 6 of them is one LUT6.
    """

    summary = "signs of each filter's few largest weights, 0 elsewhere: as many connections a neuron as asked for"
    paper = "Top-KAST, NeurIPS 2020, arXiv 2106.03517"

    class Config(MethodConfig):
        """`fan_in`: connections of a filter, layer by layer; the last one is for all layers that follow."""

        fan_in: Annotated[tuple[PositiveInt, ...], Field(strict=False, min_length=1, description="connections a filter, by layer")] = (6,)

    def __init__(self, config: MethodConfig) -> None:
        super().__init__(config)
        self.made = 0  # layers that have got their binarizer: they ask in the order of the network

    def binarizer(self, layer: BinaryLinear) -> Binarizer:
        wanted = self.config.fan_in[min(self.made, len(self.config.fan_in) - 1)]
        self.made += 1
        return LargestSigns(wanted)

    def prepare(self, model: nn.Module, domain_count: int, batch: int) -> None:
        from arbonn.model.layers import binary_layers

        self.layers = list(binary_layers(model).values())

    @torch.no_grad()
    def after_step(self, context: Context) -> None:
        for layer in self.layers:
            layer.weight.clamp_(-LIMIT, LIMIT)

    def measures(self) -> dict[str, float]:
        """`kept`: connections."""
        kept: Tensor = sum((layer.bits().sum() for layer in self.layers), torch.zeros(()))
        return {"connections": float(kept)}
