"""`groupdro`: the loss of the worst domain, around any method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from arbonn.model.methods.across_domains import AcrossDomains
from arbonn.model.methods.base import Context, averaged, register_method
from arbonn.model.methods.wrapper import WrapperConfig


@register_method("groupdro")
class GroupDro(AcrossDomains):
    """Group distributionally robust optimization (ICLR 2020, arXiv 1911.08731), its online algorithm with domains as groups.

    q_d <- q_d exp(eta * L_d), normalised, once a step, from L_d, the base's task loss over domain d of the batch; a domain that is
    not in it keeps its share. L = sum_d q_d L_d, with no gradient through q. q starts at 1 / domains, so eta = 0 is plain training.
    Where a step makes several passes all use the q of its first. The paper's strong weight decay is `train.weight_decay`.
    State  log q (domains,).   Hardware  the base's.
    """

    summary = "group distributionally robust optimization: the worst domain's loss counts most, around another method"
    paper = "GroupDRO, ICLR 2020, arXiv 1911.08731"

    class Config(WrapperConfig):
        """`eta` 0.01 is the paper's and DomainBed's."""

        eta: NonNegativeFloat = 0.01

    def prepare(self, model: nn.Module, domain_count: int, batch: int) -> None:
        super().prepare(model, domain_count, batch)
        self.register_buffer("log_q", torch.zeros(domain_count).log_softmax(0))
        self.first = False  # whether the next loss is that of a step's first pass

    def step(self, context: Context, closure: Callable[[], Tensor]) -> Tensor:
        self.first = True
        return super().step(context, closure)

    def task_loss(self, context: Context, logits: Tensor) -> Tensor:
        losses, present = [], []
        for domain in range(context.domain_count):
            rows = context.domains == domain
            present.append(rows.any())
            part = replace(context, inputs=context.inputs[rows], labels=context.labels[rows], domains=context.domains[rows])
            losses.append(super().task_loss(part, logits[rows]) if present[-1] else logits.sum() * 0)
        each = torch.stack(losses)
        if self.first:
            self.first = False
            # The sum over processes by how many of them hold the domain: all processes come to the same q.
            held = averaged(torch.stack(present).to(each.dtype))
            seen = averaged(each.detach()) / held.clamp(min=torch.finfo(each.dtype).tiny)
            self.log_q.copy_((self.log_q + self.config.eta * seen).log_softmax(0))
        return self.log_q.exp() @ each

    def measures(self) -> dict[str, float]:
        return {**super().measures(), "worst_domain_share": float(self.log_q.max().exp())}
