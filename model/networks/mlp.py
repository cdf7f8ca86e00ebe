"""`mlp`: fully connected layers."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from arbonn.model.layers import BinaryLinear, SignActivation
from arbonn.model.methods.base import Method
from arbonn.model.norm_free import DAMPING, Damped, QuantizedPRelu, Sharpened
from arbonn.model.recipe import NETWORKS, NetworkConfig


@NETWORKS.register("mlp")
def mlp(config: NetworkConfig, features: int, classes: int, method: Method) -> nn.Sequential:
    """BinaryLinear, norm, SignActivation for each hidden size, then BinaryLinear and BatchNorm to float logits.

    With `block = "nf"` a QuantizedPRelu takes the place of each norm and the sign sees s * a; the block's shortcut is left out,
    since a chain is what lowers.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    free = config.block == "nf"
    surrogate = Sharpened(method.activation, DAMPING**2) if free else method.activation
    for number, size in enumerate(config.sizes):
        layers[f"fc{number}"] = layer = BinaryLinear(features, size, method.binarizer)
        if free:
            layers[f"act{number}"] = QuantizedPRelu(size)
        else:
            layers[f"norm{number}"] = method.norm(layer)
        layers[f"sign{number}"] = SignActivation(size, surrogate)
        features = size
    last = len(config.sizes)
    layers[f"fc{last}"] = BinaryLinear(features, classes, method.binarizer)
    # BatchNorm, not the method's norm: no binarization follows it.
    layers[f"norm{last}"] = Damped(classes) if free else nn.BatchNorm1d(classes)
    return nn.Sequential(layers)
