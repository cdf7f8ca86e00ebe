"""First and last layers: binary as all others, of 8-bit weights, or real, `network.first_last`."""

from __future__ import annotations

import warnings

from torch import nn

from arbonn.model.layers import BinaryConv2d, BinaryLinear
from arbonn.model.methods.base import Method
from arbonn.model.recipe import NetworkConfig

with warnings.catch_warnings():
    # see layers.py: Brevitas warns about its own parts at import
    warnings.simplefilter("ignore")
    from brevitas.nn import QuantConv2d, QuantLinear
    from brevitas.quant import Int8WeightPerChannelFloat


def edge_linear(config: NetworkConfig, in_features: int, out_features: int, method: Method) -> nn.Module:
    """A first or last fully connected layer, without bias."""
    if config.first_last == "binary":
        return BinaryLinear(in_features, out_features, method.binarizer)
    if config.first_last == "int8":
        return QuantLinear(in_features, out_features, bias=False, weight_quant=Int8WeightPerChannelFloat)
    return nn.Linear(in_features, out_features, bias=False)


def edge_conv(config: NetworkConfig, in_channels: int, out_channels: int, kernel: int, method: Method, padding: int) -> nn.Module:
    """A first convolution, without bias; it pads by code 0."""
    if config.first_last == "binary":
        return BinaryConv2d(in_channels, out_channels, kernel, method.binarizer, padding=padding)
    if config.first_last == "int8":
        layer = QuantConv2d(in_channels, out_channels, kernel, padding=padding, bias=False, weight_quant=Int8WeightPerChannelFloat)
    else:
        layer = nn.Conv2d(in_channels, out_channels, kernel, padding=padding, bias=False)
    layer.out_features = out_channels  # what methods ask for, to make a norm
    return layer
