"""How wrong the network is on corrupted images."""

from __future__ import annotations

import torch

from arbonn.model.measures.base import Measure, register_measure
from arbonn.model.measures.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from arbonn.model.measures.images import error


@register_measure("corruption")
class Corruption(Measure):
    """Error on the test images, clean and corrupted. `arbonn compare` makes the mean corruption error of it, which needs a base network.

    clean_error             share of wrong answers on the test images as they are
    corruption_error        mean over corruptions and severities
    corruption_error/KIND   mean over the five severities: sum_s E_{s,c} / 5
    """

    def final(self) -> dict[str, float]:
        data = self.scene.data
        labels = torch.from_numpy(data.test.labels).to(self.scene.device)
        found = {}
        for name in CORRUPTIONS:
            errors = [
                error(self.scene, corrupt(data.test.codes, data.image, data.high, name, severity, self.scene.config.seed), labels)
                for severity in SEVERITIES
            ]
            found[f"corruption_error/{name}"] = sum(errors) / len(errors)
        mean = sum(found.values()) / len(found)
        return {"clean_error": error(self.scene, data.test.codes, labels), "corruption_error": mean, **found}
