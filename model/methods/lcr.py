"""`lcr`: keeps the Lipschitz constants of the float twin, as a loss around any method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pydantic import Field, NonNegativeFloat, PositiveInt, SerializeAsAny
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, hardtanh

from arbonn.errors import TrainError
from arbonn.model.methods.base import Context, averaged, register_method
from arbonn.model.methods.teacher import Taught, TaughtConfig
from arbonn.model.recipe import MethodConfig, method_config


@register_method("lcr")
class Lcr(Taught):
    """LCR-BNN (ECCV 2022, arXiv 2207.06540): retains spectral norms that binarization changes.

    RM_k     = f_k f_{k+1}^T / (H W) of consecutive stages, f_k (C_k, H W) pooled to f_{k+1}'s size, for each sample.
    sigma_k  its largest singular value: `n_iter` power iterations of RM RM^T from ones / sqrt(C_k), always from below.
    Loss     L_task + weight * sum_k mean((sigma_k^student - sigma_k^teacher)^2) / 2^(pairs - k), k = 0 .. pairs - 1.
    Stages   student: hardtanh of what each sign sees, times a learnable number (the loss's own, from 1); teacher: after each ReLU,
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
        self.signs = [module for module in model.modules() if isinstance(module, SignActivation)]
        if len(self.signs) < 2:
            raise TrainError(
                "network.sizes",
                found=f"{len(self.signs)} hidden layers",
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
        stages = [hardtanh(a) * factor for a, factor in zip(self.seen, self.factors, strict=True)]
        _, wanted = self.taught(context.inputs)
        losses, gaps = [], []
        pairs = len(stages) - 1
        for k in range(pairs):
            student = largest_singular(retention(stages[k], stages[k + 1]), self.config.n_iter)
            teacher = largest_singular(retention(wanted[k], wanted[k + 1]), self.config.n_iter)
            losses.append((student - teacher).square().mean() / 2 ** (pairs - k))
            gaps.append(((student - teacher).abs() / teacher).detach().mean())
        self.gap = torch.stack(gaps).mean()
        return {**terms, "lipschitz": self.config.weight * torch.stack(losses).sum()}

    def measures(self) -> dict[str, float]:
        return {**super().measures(), "sigma_gap": float(self.gap)}

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Inside, `seen` holds what the signs saw in the last forward. Removed again: a hook's graph would forbid copying the network."""

        def first(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            self.seen = []

        def keep(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
            self.seen.append(module.shift(arguments[0]))

        hooks = [self.signs[0].register_forward_pre_hook(first), *(sign.register_forward_hook(keep) for sign in self.signs)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            self.seen = []


def retention(f: Tensor, g: Tensor) -> Tensor:
    """RM of two stages: maps (N, C, H, W) and (N, D, h, w) -> (N, C, D); features (N, C) and (N, D) -> (1, C, D).

    Of a map before features the mean over its pixels counts.
    """
    if f.dim() == 4 and g.dim() == 2:
        f = f.mean((2, 3))
    if f.dim() == 2:
        return (f.T @ g / len(f)).unsqueeze(0)
    pooled = adaptive_avg_pool2d(f, g.shape[-2:])
    return pooled.flatten(2) @ g.flatten(2).transpose(1, 2) / (g.shape[-2] * g.shape[-1])


def largest_singular(rm: Tensor, n_iter: int) -> Tensor:
    """Largest singular value of each matrix by power iteration, (N, C, D) -> (N,): never above it, nearer with every iteration."""
    v = torch.full_like(rm[..., :1], rm.shape[1] ** -0.5)
    for _ in range(n_iter):
        v = rm @ (rm.transpose(1, 2) @ v)  # never RM RM^T itself: two products with a vector cost far less
        norm = v.square().sum((1, 2)).clamp(min=1e-24).sqrt()  # not norm(): at 0 its gradient is no number
        v = v / norm.view(-1, 1, 1)
    return norm.sqrt()
