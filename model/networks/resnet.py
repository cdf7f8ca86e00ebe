"""`resnet8`, `resnet18` and `resnet20` in the style of Bi-Real net and ReActNet, for images of 32x32 and less."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import nn

from arbonn.errors import DataError, RecipeError
from arbonn.model.methods.base import Method
from arbonn.model.networks.edge import edge_conv, edge_linear
from arbonn.model.recipe import NETWORKS, NetworkConfig
from arbonn.model.residual import Block, Stream


@NETWORKS.register("resnet8")
def resnet8(config: NetworkConfig, image: tuple[int, int, int], classes: int, method: Method) -> nn.Sequential:
    """Three stages of 16, 32 and 64 channels, two convolutions each."""
    return _resnet(config, config.channels or (16, 32, 64), 2, image, classes, method)


@NETWORKS.register("resnet18")
def resnet18(config: NetworkConfig, image: tuple[int, int, int], classes: int, method: Method) -> nn.Sequential:
    """Four stages of 64, 128, 256 and 512 channels, four convolutions each."""
    return _resnet(config, config.channels or (64, 128, 256, 512), 4, image, classes, method)


@NETWORKS.register("resnet20")
def resnet20(config: NetworkConfig, image: tuple[int, int, int], classes: int, method: Method) -> nn.Sequential:
    """Three stages of 16, 32 and 64 channels, six convolutions each."""
    return _resnet(config, config.channels or (16, 32, 64), 6, image, classes, method)


def _resnet(
    config: NetworkConfig, stages: tuple[int, ...], each: int, image: tuple[int, int, int], classes: int, method: Method
) -> nn.Sequential:
    """A first convolution onto the grid, `each` blocks a stage, the mean over the image, the logits. Every stage but the first halves."""
    if config.block != "bn":
        raise RecipeError("network.block", found=f"`{config.name}` has no norm-free form", allowed="bn", fix='block = "bn"')
    channels, height, width = image
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv0"] = edge_conv(config, channels, stages[0], 3, method, padding=1)
    layers["norm0"] = method.norm(layers["conv0"])
    layers["stream0"] = Stream(config.stream_bits)
    before = stages[0]
    for number, after in enumerate(stages):
        if number and config.shortcut == "concat" and after != 2 * before:
            raise RecipeError(
                "network.channels",
                found=f"{after} channels behind {before}",
                allowed="twice as many in each stage, as a concatenation of two gives",
                fix='shortcut = "conv" takes any number',
            )
        if number and (height % 2 or width % 2):
            raise DataError(
                f"network.name: {config.name}",
                found=f"images of {image[1]}x{image[2]}, {height}x{width} in stage {number}, which cannot be halved",
                allowed=f"sides that are multiples of {2 ** (len(stages) - 1)}",
                fix="set data.size",
            )
        if number:
            height, width = height // 2, width // 2
        for place in range(each):
            layers[f"block{number}_{place}"] = Block(
                before, after, method, config.stream_bits, config.shortcut, wider=number > 0 and place == 0
            )
            before = after
    layers["pool"] = nn.AvgPool2d((height, width))
    layers["flatten"] = nn.Flatten()
    layers["fc"] = edge_linear(config, before, classes, method)
    layers["norm"] = nn.BatchNorm1d(classes)  # not the method's norm: no binarization follows it
    return nn.Sequential(layers)


builder: Any
for builder in (resnet8, resnet18, resnet20):
    builder.images = True
    builder.options = ("channels", "stream_bits", "shortcut")
