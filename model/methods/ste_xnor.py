"""`ste-xnor`: the straight-through estimator with XNOR-Net's computed scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from arbonn.model.methods.base import Method, register_method
from arbonn.model.methods.binarizers import ScaledSign, l1
from arbonn.model.recipe import MethodConfig
from arbonn.model.surrogates import Binarizer

if TYPE_CHECKING:
    from arbonn.model.layers import BinaryLinear


@register_method("ste-xnor")
class SteXnor(Method):
    """XNOR-Net weights (arXiv 1603.05279).

    Forward   W_c = alpha_c * sign(w_c), sign(0) = +1; alpha_c = mean |w_c|; w: (C_out, ...), alpha: (C_out,).
    Backward  dL/dw = alpha * dL/dW where |w| <= 1, else 0 (`weight_clip`); nothing through alpha.   State  none.
    Hardware  one bit per weight; alpha folds into the thresholds.
    """

    summary = "straight-through estimator, scale = mean |w| of each channel"
    paper = "XNOR-Net, arXiv 1603.05279"

    class Config(MethodConfig):
        """`weight_clip = false` lets the gradient through at every weight."""

        weight_clip: bool = True

    def binarizer(self, layer: BinaryLinear) -> Binarizer:
        clip = 1.0 if self.config.weight_clip else None

        def effective_weight(w: Tensor) -> Tensor:
            return ScaledSign.apply(w, l1(w.detach()), clip, "true")

        return effective_weight
