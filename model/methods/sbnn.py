"""`sbnn`: sparse binary weights of two free values a layer, few of which are the costly one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from arbonn.model.methods.base import Context, Method, register_method
from arbonn.model.methods.binarizers import TwoValues, best_values, quantile_shift
from arbonn.model.recipe import MethodConfig
from arbonn.model.surrogates import AnnealedSign, Binarizer

if TYPE_CHECKING:
    from arbonn.model.layers import BinaryLinear

LIMIT = 1.5  # of the latent weights
LEAST = 1e-4  # excess of ones below which there is no penalty


@register_method("sbnn")
class Sbnn(Method):
    """SBNN (ECML PKDD 2023, arXiv 2306.13515). w: (C_out, ...), scale and shift: one number a layer each.

    Forward   W = scale * b + shift, b = sign(w): hi = shift + scale where b = +1, lo = shift - scale; learnable at `lr_scale` of the
              rate, from 1 and 0, or from 1 and the least-squares shift/scale (`values` "means"). `domain` "bipolar": shift stays 0.
    Penalty   h = relu(ones/total - ec) over all binary layers; where h > 1e-4 the loss gains lambda h,
              lambda = gamma L / (h (1 - gamma)) detached: always gamma/(1 - gamma) L, pushing every weight down equally, to the
              clamp [-1.5, 1.5]; ones stay only where the task pays. `fan_in`: the largest so many ones of a filter count.
    Start     `init` "quantile" shifts the latent weights so that a share ec is positive: the penalty alone wants 49000 steps.
    Backward  IR-Net's annealed tanh for weights and activations, weights not standardised (a centred filter cannot be sparse);
              `backward` "ste": clipped identity for weights, Bi-Real for activations.
    Shift     shift = scale q / 2^f, q integer, |q| <= 2^f, f = `shift_bits`: straight-through rounding from `constrain_from` of
              training on, and in every evaluation and the export.

    State     none beyond w, scale and shift.
    Hardware  x W = 2 scale S1 + (shift - scale) S0, S1 = sum of x at the ones, S0 = sum of x: with the constraint
              2^(f+1) S1 + (q - 2^f) S0 is one integer for one threshold. q = 2^f is the {0, 1} domain, q = 0 the bipolar one.
              scale < 0 only flips comparisons: cost follows the count of b = +1.
    """

    summary = "sparse binary weights: two learnt values a layer, a penalty on the share of ones"
    paper = "SBNN, ECML PKDD 2023, arXiv 2306.13515"

    class Config(MethodConfig):
        """Published pairs (ec, gamma): CIFAR-10 ResNet-18 (.50, 0) (.25, .02) (.10, .04) (.05, .07) (.03, .08) (.01, .10)."""

        ec: Annotated[float, Field(gt=0, lt=1, description="expected connections: allowed share of ones")] = 0.1
        gamma: Annotated[float, Field(ge=0, lt=1, description="share of the loss that the penalty is")] = 0.04
        domain: Literal["general", "bipolar"] = "general"
        init: Literal["given", "quantile"] = "given"
        values: Literal["unit", "means"] = "unit"
        fan_in: PositiveInt | None = None
        backward: Literal["irnet", "ste"] = "irnet"
        lr_scale: Annotated[float, Field(gt=0)] = 0.2
        shift_bits: Annotated[int, Field(ge=0, le=6)] = 4
        constrain_from: Annotated[float, Field(ge=0, le=1)] = 2 / 3

    def __init__(self, config: MethodConfig) -> None:
        super().__init__(config)
        if config.backward == "irnet":
            self.activation = AnnealedSign()

    def on_progress(self, t: float) -> None:
        if self.config.backward == "irnet":
            self.activation.on_progress(t)
        for layer in self.layers:
            layer.binarizer.constrained = t >= self.config.constrain_from

    def binarizer(self, layer: BinaryLinear) -> Binarizer:
        estimator = self.activation if self.config.backward == "irnet" else None
        return TwoValues(estimator, self.config.domain == "general", self.config.shift_bits, self.config.fan_in)

    @torch.no_grad()
    def prepare(self, model: nn.Module, domain_count: int, batch: int) -> None:
        from arbonn.model.layers import binary_layers

        self.layers = list(binary_layers(model).values())
        for layer in self.layers:
            if self.config.init == "quantile":
                layer.weight.sub_(quantile_shift(layer.weight, self.config.ec))
            if self.config.values == "means" and self.config.domain == "general":
                scale, shift = best_values(layer.weight, layer.bits())
                # The ratio alone: the norm takes the common factor away, and at its own size Adam would carry the scale past 0.
                layer.binarizer.shift.copy_((shift / scale).clamp(-1, 1))

    def param_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        slow = [value for layer in self.layers for value in (layer.binarizer.scale, layer.binarizer.shift) if value.requires_grad]
        own = {id(value) for value in slow}
        rest = [parameter for parameter in model.parameters() if parameter.requires_grad and id(parameter) not in own]
        return [{"params": rest, "lr_scale": 1.0}, {"params": slow, "lr_scale": self.config.lr_scale}]

    def loss_terms(self, context: Context) -> dict[str, Tensor]:
        if self.config.gamma == 0:
            return {}
        excess = (self._share_of_ones() - self.config.ec).relu()
        share = self.config.gamma / (1 - self.config.gamma)
        factor = share * context.loss.detach() / excess.detach().clamp(min=LEAST)
        return {"sparsity": torch.where(excess > LEAST, factor * excess, torch.zeros_like(excess))}

    @torch.no_grad()
    def after_step(self, context: Context) -> None:
        for layer in self.layers:
            layer.weight.clamp_(-LIMIT, LIMIT)

    def measures(self) -> dict[str, float]:
        q = torch.stack([layer.binarizer.quantised_shift() for layer in self.layers])
        return {"ones": float(self._share_of_ones().detach()), "q": float(q.float().mean())}

    def _share_of_ones(self) -> Tensor:
        """ones/total over all binary layers; each one counted through an identity in w."""
        ones = [CountOnes.apply(layer.weight, layer.bits()) for layer in self.layers]
        return torch.stack(ones).sum() / sum(layer.weight.numel() for layer in self.layers)


class CountOnes(torch.autograd.Function):
    """Forward the number of `bits`; backward 1 for every weight, as if each one were its weight."""

    @staticmethod
    def forward(ctx, w: Tensor, bits: Tensor) -> Tensor:
        ctx.shape = w.shape
        return bits.sum().to(w.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        return grad.expand(ctx.shape), None
