"""What the bits do while they train."""

from __future__ import annotations

import torch
from torch import Tensor

from arbonn.model.measures.base import Measure, by_layer, register_measure


@register_measure("flips")
class Flips(Measure):
    """Flips of the exported bits, of each layer and over all weights.

    flip_rate        share of weights with b_t != b_{t+1}, mean over the steps of the epoch
    oscillation      share that also has b_{t+2} = b_t: it flipped back in the very next step (Nagel et al., arXiv 2203.11086)
    flip_rate_epoch  share of weights whose bit at the end of the epoch is not that at its start
    dead_filters     share of filters in which no bit changed in any step of the epoch
    ones             share of bits that are +1
    The first step of an epoch cannot oscillate: the flips before it are forgotten.
    """

    gathered = ("steps", "counts", "start", "bits", "flipped", "touched")

    def restart(self) -> None:
        self.steps = 0
        self.start: dict[str, Tensor] = {name: layer.bits() for name, layer in self.scene.layers.items()}
        self.bits = dict(self.start)
        self.counts = {name: torch.zeros(2, dtype=torch.int64, device=bits.device) for name, bits in self.start.items()}
        self.flipped = {name: torch.zeros_like(bits) for name, bits in self.start.items()}
        self.touched = {name: torch.zeros_like(bits) for name, bits in self.start.items()}

    def update(self) -> None:
        self.steps += 1
        for name, layer in self.scene.layers.items():
            bits = layer.bits()
            flipped = bits ^ self.bits[name]
            self.counts[name] = self.counts[name] + torch.stack([flipped.sum(), (flipped & self.flipped[name]).sum()])
            self.touched[name] = self.touched[name] | flipped
            self.bits[name], self.flipped[name] = bits, flipped

    def epoch(self) -> dict[str, float]:
        weights = {name: bits.numel() for name, bits in self.bits.items()}
        filters = {name: len(bits) for name, bits in self.bits.items()}
        stepped = {name: count * max(self.steps, 1) for name, count in weights.items()}
        changed = {name: (bits ^ self.start[name]).sum() for name, bits in self.bits.items()}
        dead = {name: (~touched.flatten(1).any(1)).sum() for name, touched in self.touched.items()}
        return {
            **by_layer("flip_rate", {name: count[0] for name, count in self.counts.items()}, stepped),
            **by_layer("oscillation", {name: count[1] for name, count in self.counts.items()}, stepped),
            **by_layer("flip_rate_epoch", changed, weights),
            **by_layer("dead_filters", dead, filters),
            **by_layer("ones", {name: bits.sum() for name, bits in self.bits.items()}, weights),
        }
