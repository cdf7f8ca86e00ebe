"""A chain of layers: what all networks without shortcuts are made of."""

from __future__ import annotations

from collections import OrderedDict
from math import prod

from torch import nn

from arbonn.errors import DataError
from arbonn.model.layers import BinaryConv2d, BinaryLinear, SignActivation
from arbonn.model.methods.base import Method
from arbonn.model.networks.edge import edge_conv, edge_linear
from arbonn.model.norm_free import DAMPING, Damped, QuantizedPRelu, Sharpened
from arbonn.model.pooling import MaxPool2x2
from arbonn.model.recipe import NetworkConfig


class Chain:
    """Adds layers one behind the other and knows the shape between them: (features,) or (channels, height, width).

    Layer n is `convN` or `fcN`, then `poolN`, `normN` (with `block = "nf"` a QuantizedPRelu, `actN`) and `signN`; a pooling of bits
    comes behind its sign. Maps are padded by -1, `padN`, since no bit is 0; only the image, in front of the first layer, by code 0.
    """

    def __init__(self, config: NetworkConfig, shape: tuple[int, ...], method: Method) -> None:
        self.config, self.shape, self.method = config, shape, method
        self.layers: OrderedDict[str, nn.Module] = OrderedDict()
        self.count = 0
        self.free = config.block == "nf"
        self.surrogate = Sharpened(method.activation, DAMPING**2) if self.free else method.activation

    def conv(self, channels: int, padding: int, pool: str = "") -> None:
        """A 3x3 convolution and its sign; `pool` 2x2 of "sums", before the norm, or of "bits", behind the sign."""
        before, height, width = self.shape
        height, width = height + 2 * padding - 2, width + 2 * padding - 2
        name = f"conv{self.count}"
        self._check(name, height, width)
        if self.count == 0:
            layer = edge_conv(self.config, before, channels, 3, self.method, padding)
        else:
            if padding:
                self.layers[f"pad{self.count}"] = nn.ConstantPad2d(padding, -1.0)
            layer = BinaryConv2d(before, channels, 3, self.method.binarizer)
        self.layers[name] = layer
        if pool == "sums":
            self.layers[f"pool{self.count}"] = MaxPool2x2()
        self._activation(layer, channels)
        if pool == "bits":
            self.layers[f"pool{self.count}"] = MaxPool2x2()
        if pool:
            height, width = height // 2, width // 2
            self._check(f"pool{self.count}", height, width)
        self.shape = (channels, height, width)
        self.count += 1

    def fc(self, features: int) -> None:
        """A fully connected layer and its sign."""
        self._flatten()
        if self.count == 0:
            layer = edge_linear(self.config, self.shape[0], features, self.method)
        else:
            layer = BinaryLinear(self.shape[0], features, self.method.binarizer)
        self.layers[f"fc{self.count}"] = layer
        self._activation(layer, features)
        self.shape = (features,)
        self.count += 1

    def logits(self, classes: int) -> nn.Sequential:
        """The last layer; then the network."""
        self._flatten()
        self.layers[f"fc{self.count}"] = edge_linear(self.config, self.shape[0], classes, self.method)
        # BatchNorm, not the method's norm: no binarization follows it.
        self.layers[f"norm{self.count}"] = Damped(classes) if self.free else nn.BatchNorm1d(classes)
        return nn.Sequential(self.layers)

    def _activation(self, layer: nn.Module, features: int) -> None:
        if self.free:
            self.layers[f"act{self.count}"] = QuantizedPRelu(features)
        else:
            self.layers[f"norm{self.count}"] = self.method.norm(layer)
        self.layers[f"sign{self.count}"] = SignActivation(features, self.surrogate)

    def _flatten(self) -> None:
        if len(self.shape) > 1:
            self.layers["flatten"] = nn.Flatten()
            self.shape = (prod(self.shape),)

    def _check(self, name: str, height: int, width: int) -> None:
        if min(height, width) < 1:
            raise DataError(
                f"network.name: {self.config.name}",
                found=f"images too small: nothing is left of them at {name}",
                allowed="images of a size that the network's convolutions and poolings leave something of",
                fix="set data.size, or fewer network.channels",
            )
