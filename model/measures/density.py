"""Whether weights and scales are sparse in the same channels: what the bilinear methods (RBONN and after) are about."""

from __future__ import annotations

import torch
from torch import Tensor

from arbonn.model.layers import BinaryLayer
from arbonn.model.measures.base import Measure, register_measure
from arbonn.model.methods.binarizers import l1
from arbonn.model.methods.density import rank, sparse_in_weights


@register_measure("density")
class Density(Measure):
    """Of layers with a learnt scale alpha, A = 1/|alpha|, at the end of each epoch; without one there is nothing to report.

    density_overlap      share of channels sparse in w while dense in A (`tau`)
    density_chance       what it would be if the two were independent, (T/C)(1 - T/C) with T = int(C tau), mean over channels
    density_correlation  Spearman's between mean |w_c| and A_c, mean over layers; -1 where alpha is mean |w|
    """

    @torch.no_grad()
    def epoch(self) -> dict[str, float]:
        layers = {name: layer for name, layer in self.scene.layers.items() if hasattr(layer.binarizer, "alpha")}
        if not layers:
            return {}
        tau = self.scene.config.tau
        selected = {name: sparse_in_weights(layer, tau).float() for name, layer in layers.items()}
        channels = [len(each) for each in selected.values()]
        found = {
            "density_overlap": float(torch.cat(list(selected.values())).mean()),
            "density_chance": sum(count * chance_overlap(count, tau) for count in channels) / sum(channels),
            "density_correlation": float(torch.stack([correlation(layer) for layer in layers.values()]).mean()),
        }
        return found | {f"density_overlap/{name}": float(each.mean()) for name, each in selected.items()}


def chance_overlap(channels: int, tau: float) -> float:
    """What the overlap would be if the two densities were independent."""
    share = int(channels * tau) / channels
    return share * (1 - share)


def correlation(layer: BinaryLayer) -> Tensor:
    """Spearman's rank correlation of mean |w_c| and A_c over the channels of a layer, a scalar; 0 for a single channel."""
    one, other = (rank(values).double() for values in (l1(layer.weight.detach()), 1 / layer.binarizer.alpha.detach().abs()))
    one, other = one - one.mean(), other - other.mean()
    return (one * other).sum() / one.square().sum().clamp(min=1e-30)
