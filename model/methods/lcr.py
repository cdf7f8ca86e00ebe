"""`lcr`: keeps the Lipschitz constants of the float twin, as a loss around any method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pydantic import Field, NonNegativeFloat, PositiveInt, SerializeAsAny
from torch import Tensor, nn
from torch.nn.functional import hardtanh

from arbonn.errors import TrainError
from arbonn.model.methods.base import Context, averaged, register_method
from arbonn.model.methods.lipschitz import retained
from arbonn.model.methods.teacher import Taught, TaughtConfig
from arbonn.model.recipe import MethodConfig, method_config


@register_method("lcr")
class Lcr(Taught):
    """LCR-BNN (ECCV 2022, arXiv 2207.06540): retains spectral norms that binarization changes.

    RM_k     = f_k f_{k+1}^T / (H W) of consecutive stages, f_k (C_k, H W) pooled to f_{k+1}'s size, for each sample.
    sigma_k  its largest singular value: `n_iter` power iterations of RM RM^T from ones / sqrt(C_k), always from below.
    Loss     L_task + weight * sum_k mean((sigma_k^student - sigma_k^teacher)^2) / 2^(pairs - k), k = 0 .. pairs - 1.
    Stages   four in the paper, a ResNet's; here each fully connected layer, and of convolutions of one width the last.
             student: hardtanh of what each sign sees, times a learnable number (the loss's own, from 1); teacher: after each ReLU,
             from the same batch, in evaluation mode and without gradient.

    In an MLP a stage is one pixel: RM of a sample would have rank one and sigma would be |f_k| |f_{k+1}|. So there the batch takes
    the place of space, RM_k = F_k^T F_{k+1} / N with F_k (N, C_k): one matrix a batch, the stages' correlation. This is ours.
    The published code iterates once from ones that are not normalised, which inflates sigma, and lets the teacher's statistics drift.
    State  the numbers of the stages, and the teacher.   Hardware  the base's, IR-Net by default.
    """

    summary = "Lipschitz continuity retained: spectral norms of the float twin, as a loss around another method"
    paper = "LCR-BNN, ECCV 2022, arXiv 2207.06540"

    class Config(TaughtConfig):
        """`weight`: for maps try 0.1, 1 and 10; an MLP's matrices hold a whole batch's correlation, so 0.001 to 0.1 there."""

        base: SerializeAsAny[MethodConfig] = Field(
            default_factory=lambda: method_config({"name": "irnet"}, "lcr", ("base",)), description="the method inside"
        )
        weight: NonNegativeFloat = 0.01
        n_iter: PositiveInt = 5

    def prepare(self, model: nn.Module, domain_count: int, batch: int) -> None:
        from arbonn.model.layers import SignActivation

        super().prepare(model, domain_count, batch)
        signs = [module for module in model.modules() if isinstance(module, SignActivation)]
        self.ends = stage_ends(model)
        self.signs = [signs[number] for number in self.ends]
        if len(self.signs) < 2:
            raise TrainError(
                "network.sizes",
                found=f"{len(signs)} hidden layers",
                allowed="at least 2 for `lcr`: its loss is on pairs of stages",
                fix="add a hidden layer",
            )
        self.factors = nn.Parameter(torch.ones(len(self.signs)))
        self.seen: list[Tensor] = []
        self.gap = torch.zeros(())

    def param_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        return [*super().param_groups(model), {"params": [self.factors], "lr_scale": 1.0}]

    def step(self, context: Context, closure: Callable[[], Tensor]) -> Tensor:
        def whole() -> Tensor:
            loss = closure()
            if self.factors.grad is not None:
                self.factors.grad = averaged(self.factors.grad)  # no part of the network that a data-parallel run averages
            return loss

        with self._watched():
            return super().step(context, whole)

    def loss_terms(self, context: Context) -> dict[str, Tensor]:
        terms = super().loss_terms(context)
        if self.config.weight == 0:
            return terms
        stages = [hardtanh(a) for a in self.seen]
        outputs = self.taught(context.inputs)[1]
        wanted = [outputs[number] for number in self.ends]
        losses, gaps = [], []
        pairs = len(stages) - 1
        for k in range(pairs):
            # sigma of c f and d g is |c d| times that of f and g, so the stages' numbers come last.
            student = retained(stages[k], stages[k + 1], self.config.n_iter) * (self.factors[k] * self.factors[k + 1]).abs()
            teacher = retained(wanted[k], wanted[k + 1], self.config.n_iter)
            losses.append((student - teacher).square().mean() / 2 ** (pairs - k))
            gaps.append(((student - teacher).abs() / teacher).detach().mean())
        self.gap = torch.stack(gaps).mean()
        return {**terms, "lipschitz": self.config.weight * torch.stack(losses).sum()}

    def measures(self) -> dict[str, float]:
        return {**super().measures(), "sigma_gap": float(averaged(self.gap))}

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Inside, `seen` holds what the signs saw in the last forward. Removed again: a hook's graph would forbid copying the network."""

        def first(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            self.seen = []

        def keep(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            self.seen.append(arguments[0])

        hooks = [self.signs[0].register_forward_pre_hook(first), *(sign.quant.register_forward_pre_hook(keep) for sign in self.signs)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            self.seen = []


def stage_ends(model: nn.Module) -> list[int]:
    """Which signs end a stage, in the order of the network: of neighbours that see maps of one width the last; every other one.

    Where that leaves a single stage, as in a chain of equal convolutions, every sign ends one.
    """
    from arbonn.model.layers import SignActivation

    widths: list[tuple[bool, int]] = []
    maps = False
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            maps = isinstance(module, nn.Conv2d)
        elif isinstance(module, SignActivation):
            widths.append((maps, len(module.beta)))
    ends = [number for number, own in enumerate(widths) if not own[0] or widths[number + 1 : number + 2] != [own]]
    return ends if len(ends) > 1 else list(range(len(widths)))
