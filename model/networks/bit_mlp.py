"""`bit-mlp`: fully connected layers between bits of the input and whole sums: what costs least where every weight is wiring."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from arbonn.errors import RecipeError
from arbonn.model.layers import SignActivation
from arbonn.model.methods.base import Method
from arbonn.model.networks.chain import Chain
from arbonn.model.networks.edge import edge_linear
from arbonn.model.recipe import NETWORKS, NetworkConfig


@NETWORKS.register("bit-mlp")
def bit_mlp(config: NetworkConfig, features: int, classes: int, method: Method) -> nn.Sequential:
    """InputBits, then BinaryLinear, norm and SignActivation for each hidden size, then BinaryLinear and one Gain for all classes.

    The logits are the last layer's sums times one number: no table and no multiplier stands behind them.
    """
    if config.sizes is None:
        raise RecipeError(
            "network.sizes", found="nothing", allowed="features of each hidden layer of a bit-mlp", fix="add `sizes = [1024]`, say"
        )
    if config.block != "bn" or config.first_last != "binary":
        found = f"block `{config.block}`, `{config.first_last}` first and last layers"
        raise RecipeError("network.name: bit-mlp", found=found, allowed="block `bn`, binary first and last layers", fix="leave both out")
    thresholds = config.input_thresholds or (0.5,)
    chain = Chain(config, (features * len(thresholds),), method)
    chain.layers["bits"] = InputBits(features, thresholds)
    for size in config.sizes:
        chain.fc(size)
    chain.layers[f"fc{chain.count}"] = edge_linear(config, chain.shape[0], classes, method)
    chain.layers["gain"] = Gain()
    return nn.Sequential(chain.layers)


bit_mlp.options = ("sizes", "input_thresholds")


class InputBits(nn.Module):
    """x (N, F) -> (N, F * T) of -1 and 1: x >= t for each threshold t in turn, fixed. x is a picture's: 0 to 1.

    Halves and quarters are cheapest: on 8-bit codes x >= 0.5 is the highest bit, x >= 0.25 and x >= 0.75 are functions of two.
    """

    def __init__(self, features: int, thresholds: tuple[float, ...]) -> None:
        super().__init__()
        self.signs = nn.ModuleList(SignActivation(features) for _ in thresholds)
        for activation, threshold in zip(self.signs, thresholds, strict=True):
            activation.beta.requires_grad_(False).fill_(-threshold)

    def forward(self, x: Tensor) -> Tensor:
        bits = [activation(x) for activation in self.signs]
        return bits[0] if len(bits) == 1 else torch.cat(bits, 1)


class Gain(nn.Module):
    """y = |gain| * x, one learnable number: it orders the classes as x does."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain.abs()
