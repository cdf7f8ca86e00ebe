"""Where the gradient goes: whether the filters with the smallest weights still learn."""

from __future__ import annotations

import torch
from torch import Tensor

from arbonn.model.measures.base import Measure, by_layer, register_measure
from arbonn.model.methods.binarizers import l1

SPARSEST = 0.2


@register_measure("gradients")
class SparseGradients(Measure):
    """`sparse_gradient`: share of sum |dw| that goes to the fifth of filters with the least mean |w|, over the steps of an epoch.

    mean |w| is that of the weights before the step; an even spread would give 0.2, what RBONN (arXiv 2209.01542) fears is less.
    """

    gathered = ("sums", "sparsest")

    def restart(self) -> None:
        self.sums: dict[str, Tensor] = {name: torch.zeros(2, device=layer.weight.device) for name, layer in self.scene.layers.items()}
        self.sparsest = {name: _sparsest(layer.weight) for name, layer in self.scene.layers.items()}

    def update(self) -> None:
        for name, layer in self.scene.layers.items():
            if layer.weight.grad is not None:
                size = layer.weight.grad.abs().flatten(1).sum(1)
                self.sums[name] = self.sums[name] + torch.stack([size[self.sparsest[name]].sum(), size.sum()])
            self.sparsest[name] = _sparsest(layer.weight)

    def epoch(self) -> dict[str, float]:
        parts, wholes = ({name: sums[place] for name, sums in self.sums.items()} for place in (0, 1))
        return by_layer("sparse_gradient", parts, wholes)


def _sparsest(w: Tensor) -> Tensor:
    """Numbers of the filters with the least mean |w|: a fifth, at least one."""
    size = l1(w.detach())
    return size.topk(max(int(len(size) * SPARSEST), 1), largest=False).indices
