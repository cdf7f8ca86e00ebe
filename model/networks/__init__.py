"""Networks that lower to hardware, one family a file: between two integer points everything is a per-channel function of one integer.

A builder gets (config, shape, classes, method): the shape of a frame is (features,), or (channels, height, width) for a builder
with `images = True`; `options` are the settings of [network] that it heeds beside the common ones.
The names of the modules become the names of the nodes in the exported file (`/fc0/MatMul`, `/sign0/Add`, ...).
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from arbonn.errors import RecipeError
from arbonn.model.recipe import NETWORKS, NetworkConfig

if TYPE_CHECKING:
    from torch import nn

    from arbonn.model.methods.base import Method


def build(config: NetworkConfig, image: tuple[int, int, int], classes: int, method: Method) -> nn.Module:
    """The network that a recipe names, for frames of (channels, height, width): floats (N, ...) -> logits (N, classes).

    The method supplies binarizers and norms.
    """
    builder = NETWORKS.get(config.name, "network.name")
    heeded = getattr(builder, "options", ("sizes",))
    for option in {"sizes", "channels", "stream_bits", "shortcut", "input_thresholds"} - set(heeded):
        if getattr(config, option) != NetworkConfig.model_fields[option].default:
            raise RecipeError(f"network.{option}", found=f"`{config.name}` has none", allowed=", ".join(heeded), fix=f"leave {option} out")
    network = builder(config, image if takes_images(config) else prod(image), classes, method)
    if config.first_last != "binary" and not _has_binary_layer(network):
        raise RecipeError(
            "network.first_last",
            found=f"`{config.first_last}` first and last layers, and no binary one between them",
            allowed="a network of at least three layers",
            fix='add a layer, or first_last = "binary"',
        )
    return network


def _has_binary_layer(network: nn.Module) -> bool:
    from arbonn.model.layers import binary_layers

    return bool(binary_layers(network))


def takes_images(config: NetworkConfig) -> bool:
    """True where the network's input is (N, channels, height, width), False where it is (N, features)."""
    return bool(getattr(NETWORKS.get(config.name, "network.name"), "images", False))
