"""`sam`: sharpness-aware minimisation around any method, on latent or on effective weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import PositiveFloat
from torch import Tensor, nn

from arbonn.model.methods.base import Context, register_method
from arbonn.model.methods.sharpness import RhoMode, effective_passes, latent_passes
from arbonn.model.methods.wrapper import Wrapper, WrapperConfig


@register_method("sam")
class Sam(Wrapper):
    """SAM (ICLR 2021, arXiv 2010.01412) on binary layers: two passes a step, the second from a worse place.

    mode      "latent": w + rho g_w / ||g_w||, which `sign` mostly swallows: the arm to compare with.
              "effective": W + rho g_W / ||g_W||, after the sign: ARBONN's first part alone.
    Both use one norm over all binary layers; scales, norms and shifts stay; BN statistics move in the first pass.
    The base takes its step on the gradients of the second pass.   State  none.   Hardware  the base's.
    """

    summary = "sharpness-aware minimisation around another method, on latent or effective weights"
    paper = "SAM, ICLR 2021, arXiv 2010.01412"

    class Config(WrapperConfig):
        """`rho_mode` "relative" counts rho in units of the weights' own norm."""

        mode: Literal["latent", "effective"] = "effective"
        rho: PositiveFloat = 0.05
        rho_mode: RhoMode = "absolute"

    def prepare(self, model: nn.Module, domain_count: int, batch: int) -> None:
        from arbonn.model.layers import binary_layers

        super().prepare(model, domain_count, batch)
        self.layers = list(binary_layers(model).values())

    def step(self, context: Context, closure: Callable[[], Tensor]) -> Tensor:
        def both() -> Tensor:
            if self.config.mode == "latent":
                return latent_passes(context.model, self.layers, closure, self.config.rho, self.config.rho_mode)
            return effective_passes(context.model, self.layers, closure, self.config.rho, self.config.rho_mode).loss

        return self.base.step(context, both)
