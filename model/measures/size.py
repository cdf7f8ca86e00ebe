"""What the network weighs and how much it computes, counted as papers on binary networks count it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from arbonn.model.layers import BinaryLayer
from arbonn.model.measures.base import Measure, register_measure
from arbonn.model.measures.images import inputs


@register_measure("size")
class Size(Measure):
    """Of one frame; known when training ends, the same for all networks of one shape.

    model_bytes     one bit a binary weight, each layer filled up to bytes; 4 bytes for every other number that evaluation needs
    binary_ops      multiply-accumulates whose weight and input are both +-1
    multi_bit_ops   multiply-accumulates of binary weights with inputs of more bits (the first layer)
    ops             multi_bit_ops + binary_ops / 64 (the rule of Bi-Real Net, arXiv 1808.00278)
    """

    @torch.no_grad()
    def final(self) -> dict[str, float]:
        layers = list(self.scene.layers.values())
        latent = {id(layer.weight) for layer in layers}
        others = [*self.scene.network.parameters(), *_statistics(self.scene.network)]
        octets = sum(-(-layer.weight.numel() // 8) for layer in layers)
        octets += 4 * sum(value.numel() for value in others if id(value) not in latent)
        counts = {"binary_ops": 0, "multi_bit_ops": 0}

        def count(layer: BinaryLayer, given: tuple[Tensor, ...], out: Tensor) -> None:
            kind = "binary_ops" if bool((given[0].abs() == 1).all()) else "multi_bit_ops"
            counts[kind] += layer.weight.numel() * out[0].numel() // len(layer.weight)

        hooks = [layer.register_forward_hook(count) for layer in layers]
        try:
            self.scene.network(inputs(self.scene, self.scene.data.val.codes[:8]))
        finally:
            for hook in hooks:
                hook.remove()
        return {"model_bytes": octets, **counts, "ops": counts["multi_bit_ops"] + counts["binary_ops"] / 64}


def _statistics(network: nn.Module) -> list[Tensor]:
    """Running means and variances of all norms."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    return [value for norm in norms for value in (norm.running_mean, norm.running_var) if value is not None]
