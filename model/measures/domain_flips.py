"""How much a change of domain disturbs the bits of the activations."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from arbonn.model.data import Split
from arbonn.model.layers import SignActivation
from arbonn.model.measures.base import Measure, register_measure
from arbonn.model.measures.images import shown_bits, varied


@register_measure("domain-flips")
class DomainFlips(Measure):
    """Bits of all hidden activations on the first `images` test images; nothing where there is one domain.

    Domains that are augmentations: the same image in each.
      domain_flips        share of activation bits that differ between domains d and e, mean over pairs
      domain_flips_ratio  that, divided by the share between two images of one class in one domain
    Domains of the data set itself, whose images have no twins:
      domain_rate_gap     mean over channels of |p_cd - p_ce|, p = firing rate, mean over pairs
    """

    def final(self) -> dict[str, float]:
        data, recipe = self.scene.data, self.scene.recipe
        if not any(isinstance(module, SignActivation) for module in self.scene.network.modules()):
            return {}
        if int(data.train.domains.max()) > 0:
            return self._unpaired(data.train)
        names = recipe.data.augment
        if len(names) < 2:
            return {}
        labels = data.test.labels[: self.scene.config.images]
        domains = [shown_bits(self.scene, varied(self.scene, data.test, name, len(labels))) for name in names]
        across = torch.stack([(a ^ b).float().mean() for a, b in combinations(domains, 2)]).mean()
        one, other = _neighbours(labels)
        if len(one) == 0:
            return {"domain_flips": float(across)}
        within = torch.stack([(bits[one] ^ bits[other]).float().mean() for bits in domains]).mean()
        return {"domain_flips": float(across), "domain_flips_ratio": float(across / within.clamp(min=1e-12))}

    def _unpaired(self, split: Split) -> dict[str, float]:
        rates: list[Tensor] = []
        for domain in np.unique(split.domains):
            codes = split.codes[split.domains == domain][: self.scene.config.images]
            rates.append(shown_bits(self.scene, codes).float().mean(0))
        if len(rates) < 2:
            return {}
        return {"domain_rate_gap": float(torch.stack([(a - b).abs().mean() for a, b in combinations(rates, 2)]).mean())}


def _neighbours(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (a, b): each image and the next one of its class."""
    order = np.argsort(labels, kind="stable")
    same = labels[order[:-1]] == labels[order[1:]]
    return order[:-1][same], order[1:][same]
