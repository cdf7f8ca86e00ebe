"""`swa`: the mean of the weights over the end of training, around any method."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from arbonn.model.methods.base import Context, register_method
from arbonn.model.methods.wrapper import Wrapper, WrapperConfig


@register_method("swa")
class Swa(Wrapper):
    """Stochastic weight averaging (UAI 2018, arXiv 1803.05407) before the sign.

    From `start` of training on, the mean after each step of everything trained: latent weights, scales, shifts and affine
    parameters. At the end the means are put into the network, whose bits are those of the mean weights; running statistics of all
    norms are taken anew over the training images, since those of the last step belong to other bits.
    This network is what is measured and exported, whatever epoch was best.
    State  the means and their count.   Hardware  the base's.
    """

    summary = "mean of latent weights over the end of training around another method, statistics recomputed"
    paper = "SWA, UAI 2018, arXiv 1803.05407"

    class Config(WrapperConfig):
        """`start` = 0.75: the last quarter."""

        start: Annotated[float, Field(ge=0, lt=1)] = 0.75

    def prepare(self, model: nn.Module, domain_count: int, batch: int) -> None:
        super().prepare(model, domain_count, batch)
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        for number, parameter in enumerate(self.trained):
            self.register_buffer(f"mean{number}", torch.zeros_like(parameter))
        self.register_buffer("count", torch.tensor(0))
        self.batch, self.averaging = batch, False

    def on_progress(self, t: float) -> None:
        super().on_progress(t)
        self.averaging = t >= self.config.start

    @torch.no_grad()
    def after_step(self, context: Context) -> None:
        super().after_step(context)
        if self.averaging:
            self.count.add_(1)
            for number, parameter in enumerate(self.trained):
                getattr(self, f"mean{number}").lerp_(parameter, 1 / int(self.count))

    @torch.no_grad()
    def finish(self, model: nn.Module, inputs: Tensor) -> bool:
        super().finish(model, inputs)
        if self.count == 0:  # a run shorter than the part that is averaged
            return False
        for number, parameter in enumerate(self.trained):
            parameter.copy_(getattr(self, f"mean{number}"))
        norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over the batches
        model.train()
        for batch in inputs.split(self.batch):
            if len(batch) == self.batch:
                model(batch)
        model.eval()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        return True
