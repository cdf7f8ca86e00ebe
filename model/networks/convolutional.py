"""Chains of 3x3 convolutions: `cnn`, `cnv` and `vgg-small`."""

from __future__ import annotations

from typing import Any

from torch import nn

from arbonn.model.methods.base import Method
from arbonn.model.networks.chain import Chain
from arbonn.model.recipe import NETWORKS, NetworkConfig


@NETWORKS.register("cnn")
def cnn(config: NetworkConfig, image: tuple[int, int, int], classes: int, method: Method) -> nn.Sequential:
    """A small one: convolutions of 32, 64 and 64 channels, padded, a maximum over 2x2 behind each, then straight to the logits."""
    chain = Chain(config, image, method)
    for channels in config.channels or (32, 64, 64):
        chain.conv(channels, padding=1, pool="sums")
    return _fully_connected(chain, config.sizes or (), classes)


@NETWORKS.register("cnv")
def cnv(config: NetworkConfig, image: tuple[int, int, int], classes: int, method: Method) -> nn.Sequential:
    """FINN's CNV (arXiv 1612.07119), for 32x32: 64 64 P 128 128 P 256 256 without padding, P the maximum of bits, then 512 and 512."""
    chain = Chain(config, image, method)
    widths = config.channels or (64, 64, 128, 128, 256, 256)
    for number, channels in enumerate(widths):
        chain.conv(channels, padding=0, pool="bits" if number % 2 and number < len(widths) - 1 else "")
    return _fully_connected(chain, config.sizes if config.sizes is not None else (512, 512), classes)


@NETWORKS.register("vgg-small")
def vgg_small(config: NetworkConfig, image: tuple[int, int, int], classes: int, method: Method) -> nn.Sequential:
    """VGG-small as binary networks use it (IR-Net and after), for 32x32: 128 128 P 256 256 P 512 512 P, padded, then the logits."""
    chain = Chain(config, image, method)
    for number, channels in enumerate(config.channels or (128, 128, 256, 256, 512, 512)):
        chain.conv(channels, padding=1, pool="sums" if number % 2 else "")
    return _fully_connected(chain, config.sizes or (), classes)


def _fully_connected(chain: Chain, sizes: tuple[int, ...], classes: int) -> nn.Sequential:
    for size in sizes:
        chain.fc(size)
    return chain.logits(classes)


builder: Any
for builder in (cnn, cnv, vgg_small):
    builder.images = True
    builder.options = ("sizes", "channels")
