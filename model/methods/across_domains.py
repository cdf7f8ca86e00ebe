"""What the baselines of domain generalization share: they go around any method, want balanced batches, and refuse a single domain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import nn

from arbonn.errors import TrainError
from arbonn.model.methods.wrapper import Wrapper


class AcrossDomains(Wrapper):
    """A wrapper that compares domains: those of the data set, or where it has none one for each augmentation.

    Every batch holds each domain equally often, `least` images at least, as DomainBed's (arXiv 2007.01434) do.
    """

    least = 2

    def prepare(self, model: nn.Module, domain_count: int, batch: int) -> None:
        if domain_count > 1 and (batch % domain_count or batch // domain_count < self.least):
            raise TrainError(
                "train.batch",
                found=f"{batch} images from {domain_count} domains",
                allowed=f"a multiple of {domain_count} with at least {self.least} images of each domain",
                fix=f"batch = {max(batch // domain_count, self.least) * domain_count}",
            )
        super().prepare(model, domain_count, batch)

    def needs_domains(self) -> bool:
        return True

    def sampler(self, domains: npt.NDArray[np.int64], order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return balanced(domains, super().sampler(domains, order))


def balanced(domains: npt.NDArray[np.int64], order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """`order` with domains in turn, so that every batch is balanced; a small domain's images come round again."""
    members = [order[domains[order] == domain] for domain in np.unique(domains)]
    each = len(order) // len(members)
    return np.stack([np.resize(member, each) for member in members], 1).ravel() if len(members) > 1 else order
