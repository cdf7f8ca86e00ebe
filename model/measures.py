"""What the binary weights do while they train, measured on the exported bits, for every method alike."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from arbonn.model.layers import BinaryLinear, binary_layers
from arbonn.model.methods.density import dense


class FlipMeter:
    """Counts flips of the bits of all binary layers over the steps of an epoch.

    flip_rate     share of weights with b_t != b_{t+1}, mean over the steps
    oscillation   share that also has b_{t+2} = b_t
    dead_filters  share of filters in which no bit changed in any step of the epoch
    """

    def __init__(self, model: nn.Module) -> None:
        self.layers = binary_layers(model)
        self.restart()

    def restart(self) -> None:
        """A new epoch begins. The first step of an epoch cannot oscillate: the flips before it are forgotten."""
        self.steps = 0
        self.counts = [0, 0]
        self.bits = {name: layer.bits() for name, layer in self.layers.items()}
        self.flipped = {name: torch.zeros_like(bits) for name, bits in self.bits.items()}
        self.touched = {name: torch.zeros_like(bits) for name, bits in self.bits.items()}

    def update(self) -> None:
        """After each step."""
        self.steps += 1
        for name, layer in self.layers.items():
            bits = layer.bits()
            flipped = bits ^ self.bits[name]
            self.counts[0] += int(flipped.sum())
            self.counts[1] += int((flipped & self.flipped[name]).sum())
            self.touched[name] |= flipped
            self.bits[name], self.flipped[name] = bits, flipped

    def measures(self) -> dict[str, float]:
        weights = sum(bits.numel() for bits in self.bits.values()) * max(self.steps, 1)
        dead = [~touched.flatten(1).any(1) for touched in self.touched.values()]
        return {
            "flip_rate": self.counts[0] / weights,
            "oscillation": self.counts[1] / weights,
            "dead_filters": float(torch.cat(dead).float().mean()),
        }

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "counts": self.counts, "bits": self.bits, "flipped": self.flipped, "touched": self.touched}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


@torch.no_grad()
def density_overlap(model: nn.Module, tau: float = 0.6) -> float:
    """Share of channels that are sparse in w and dense in A = 1/alpha, over all layers with a scale (chance: see `chance_overlap`)."""
    hits: list[Tensor] = [_overlap(layer, tau) for layer in binary_layers(model).values() if hasattr(layer.binarizer, "alpha")]
    return float(torch.cat(hits).float().mean()) if hits else 0.0


def _overlap(layer: BinaryLinear, tau: float) -> Tensor:
    magnitude = layer.weight.abs().flatten(1).mean(1)
    return ~dense(magnitude, tau) & dense(1 / layer.binarizer.alpha.abs(), tau)


def chance_overlap(channels: int, tau: float = 0.6) -> float:
    """What `density_overlap` would be if the two densities were independent."""
    threshold = int(channels * tau)
    return threshold / channels * (1 - threshold / channels)
