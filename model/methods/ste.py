"""`ste`: the straight-through estimator with a learnable scale, baseline of all methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arbonn.model.methods.base import Method, register_method
from arbonn.model.methods.binarizers import LearnableScale, ScaleGrad
from arbonn.model.recipe import MethodConfig
from arbonn.model.surrogates import Binarizer

if TYPE_CHECKING:
    from arbonn.model.layers import BinaryLinear


@register_method("ste")
class Ste(Method):
    """XNOR-Net / ReActNet style weights (arXiv 1603.05279, 2003.03488).

    Forward   W_c = |alpha_c| * sign(w_c), sign(0) = +1; w: (C_out, ...), alpha: (C_out,) learnable, started at mean |w_c|.
    Backward  dL/dw = alpha * dL/dW where |w| <= 1, else 0 (`weight_clip`); dL/dalpha_c = sum(dL/dW * b).   State  none.
    Hardware  one bit per weight; alpha folds into the thresholds.
    """

    summary = "straight-through estimator with a learnable scale: the baseline of all"
    paper = "XNOR-Net / ReActNet, arXiv 1603.05279, 2003.03488"

    class Config(MethodConfig):
        """`weight_clip = false` lets the gradient through at every weight."""

        weight_clip: bool = True
        scale_grad: ScaleGrad = "true"

    def binarizer(self, layer: BinaryLinear) -> Binarizer:
        return LearnableScale(layer.weight, 1.0 if self.config.weight_clip else None, self.config.scale_grad)
