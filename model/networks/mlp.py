"""`mlp`: fully connected layers; `tfc`, `sfc` and `lfc` are those of FINN."""

from __future__ import annotations

from torch import nn

from arbonn.errors import RecipeError
from arbonn.model.methods.base import Method
from arbonn.model.networks.chain import Chain
from arbonn.model.recipe import NETWORKS, NetworkConfig


@NETWORKS.register("mlp")
def mlp(config: NetworkConfig, features: int, classes: int, method: Method) -> nn.Sequential:
    """BinaryLinear, norm, SignActivation for each hidden size, then BinaryLinear and BatchNorm to float logits.

    With `block = "nf"` a QuantizedPRelu takes the place of each norm and the sign sees s * a; the block's shortcut is left out,
    since a chain is what lowers.
    """
    if config.sizes is None:
        raise RecipeError(
            "network.sizes", found="nothing", allowed="features of each hidden layer of an mlp", fix="add `sizes = [128, 128]`, say"
        )
    return _layers(config, config.sizes, features, classes, method)


@NETWORKS.register("tfc")
def tfc(config: NetworkConfig, features: int, classes: int, method: Method) -> nn.Sequential:
    """FINN's smallest network for MNIST: three hidden layers of 64."""
    return _layers(config, config.sizes or (64,) * 3, features, classes, method)


@NETWORKS.register("sfc")
def sfc(config: NetworkConfig, features: int, classes: int, method: Method) -> nn.Sequential:
    """FINN's SFC: three hidden layers of 256 (arXiv 1612.07119)."""
    return _layers(config, config.sizes or (256,) * 3, features, classes, method)


@NETWORKS.register("lfc")
def lfc(config: NetworkConfig, features: int, classes: int, method: Method) -> nn.Sequential:
    """FINN's LFC: three hidden layers of 1024 (arXiv 1612.07119)."""
    return _layers(config, config.sizes or (1024,) * 3, features, classes, method)


def _layers(config: NetworkConfig, sizes: tuple[int, ...], features: int, classes: int, method: Method) -> nn.Sequential:
    chain = Chain(config, (features,), method)
    for size in sizes:
        chain.fc(size)
    return chain.logits(classes)
