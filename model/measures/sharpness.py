"""How flat the minimum is that training found, in the space of effective weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from arbonn.model.batches import tensors
from arbonn.model.data import Split
from arbonn.model.measures.base import Measure, register_measure
from arbonn.model.methods.sharpness import global_norm


@register_measure("sharpness")
class Sharpness(Measure):
    """Rise of the loss when W, not w, is moved by rho: norms in evaluation mode, `images` fixed training images, each rho of the recipe.

    sharpness_RHO         L(W + rho g / ||g||) - L(W), g = dL/dW, one norm over all binary layers
    sharpness_RHO_mean    mean rise over `directions` random directions of the same length
    sharpness_RHO_worst   the largest of these
    """

    def final(self) -> dict[str, float]:
        config = self.scene.config
        rows = torch.randperm(len(self.scene.data.train), generator=_random(config.seed))[: config.images].numpy()
        train = self.scene.data.train
        chosen = Split(train.codes[rows], train.labels[rows], train.domains[rows])
        frames, labels = tensors(self.scene.data, chosen, self.scene.device)
        inputs = frames[:]
        quantizers = [layer.quantizer for layer in self.scene.layers.values()]

        def loss(steps: Sequence[Tensor | None]) -> Tensor:
            for quantizer, step in zip(quantizers, steps, strict=True):
                quantizer.perturbation = step
            return cross_entropy(self.scene.network(inputs), labels)

        none = [None] * len(quantizers)
        try:
            grads = self._gradients(loss, none)
            found: dict[str, float] = {}
            with torch.no_grad():
                at = float(loss(none))
                random = _random(config.seed)
                directions = [[torch.randn(g.shape, generator=random).to(g.device) for g in grads] for _ in range(config.directions)]
                for rho in config.rho:
                    rises = [float(loss(_towards(direction, rho))) - at for direction in [grads, *directions]]
                    found[f"sharpness_{rho:g}"] = rises[0]
                    found[f"sharpness_{rho:g}_mean"] = sum(rises[1:]) / config.directions
                    found[f"sharpness_{rho:g}_worst"] = max(rises[1:])
        finally:
            for quantizer in quantizers:
                quantizer.perturbation = None
        return found

    def _gradients(self, loss: Callable[[Sequence[Tensor | None]], Tensor], none: Sequence[Tensor | None]) -> list[Tensor]:
        """dL/dW of every binary layer."""
        layers = self.scene.layers.values()
        kept = {name: parameter.grad for name, parameter in self.scene.network.named_parameters()}
        for layer in layers:
            layer.quantizer.record, layer.quantizer.grad = True, None
        with torch.enable_grad():
            loss(none).backward()
        grads = [layer.quantizer.grad for layer in layers]
        for layer in layers:
            layer.quantizer.record, layer.quantizer.grad = False, None
        for name, parameter in self.scene.network.named_parameters():
            parameter.grad = kept[name]
        return grads


def _towards(direction: Sequence[Tensor], rho: float) -> list[Tensor]:
    norm = global_norm(direction) + 1e-12
    return [rho * part / norm for part in direction]


def _random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
