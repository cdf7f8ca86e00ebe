"""What the network weighs and how much it computes, counted as papers on binary networks count it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from arbonn.model.layers import BinaryLayer, QuantConv2d, QuantLinear
from arbonn.model.measures.base import Measure, register_measure
from arbonn.model.measures.images import inputs


@register_measure("size")
class Size(Measure):
    """Of one frame; known when training ends, the same for all networks of one shape.

    model_bytes     one bit a binary weight, each layer filled up to bytes, 8 an `int8` one; 4 bytes for every other number that
                    evaluation needs, an `int8` layer's scales too
    binary_ops      multiply-accumulates whose weight and input are both +-1
    multi_bit_ops   all others: inputs of more bits (the first layer), or weights of more (`first_last` = "int8" or "real")
    ops             multi_bit_ops + binary_ops / 64 (the rule of Bi-Real Net, arXiv 1808.00278)
    """

    @torch.no_grad()
    def final(self) -> dict[str, float]:
        layers = [module for module in self.scene.network.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
        weights = {id(layer.weight) for layer in layers}
        others = [*self.scene.network.parameters(), *_statistics(self.scene.network)]
        octets = sum(_octets(layer) for layer in layers)
        octets += 4 * sum(value.numel() for value in others if id(value) not in weights)
        counts = {"binary_ops": 0, "multi_bit_ops": 0}

        def count(layer: nn.Linear | nn.Conv2d, given: tuple[Tensor, ...], out: Tensor) -> None:
            bits = isinstance(layer, BinaryLayer) and bool((given[0].abs() == 1).all())
            counts["binary_ops" if bits else "multi_bit_ops"] += layer.weight.numel() * out[0].numel() // len(layer.weight)

        hooks = [layer.register_forward_hook(count) for layer in layers]
        try:
            self.scene.network(inputs(self.scene, self.scene.data.val.codes[:8]))
        finally:
            for hook in hooks:
                hook.remove()
        return {"model_bytes": octets, **counts, "ops": counts["multi_bit_ops"] + counts["binary_ops"] / 64}


def _octets(layer: nn.Linear | nn.Conv2d) -> int:
    """Bytes of a layer's weights as they are stored."""
    if isinstance(layer, BinaryLayer):
        return -(-layer.weight.numel() // 8)
    if isinstance(layer, QuantConv2d | QuantLinear):
        return layer.weight.numel() * int(layer.weight_quant.bit_width()) // 8 + 4 * layer.weight_quant.scale().numel()
    return 4 * layer.weight.numel()


def _statistics(network: nn.Module) -> list[Tensor]:
    """Running means and variances of all norms."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    return [value for norm in norms for value in (norm.running_mean, norm.running_var) if value is not None]
