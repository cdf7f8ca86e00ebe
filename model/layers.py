"""The binary building blocks, on Brevitas: linear and convolution layers with 1-bit weights, and a sign with a learnable shift.

They hand Brevitas a `tensor_quant` of ours through an injector, so the QONNX export is Brevitas' own (`BipolarQuant` for weights
and activations) while forward and backward belong to the training method. sign(0) = +1 everywhere: a bit of 1 means +1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from arbonn.model.surrogates import Binarizer, BiRealSign

with warnings.catch_warnings():
    # Brevitas 0.13.4 warns at import about its own use of brevitas.fx and about an optional CUDA kernel: nothing a user can mend.
    warnings.simplefilter("ignore")
    from brevitas.inject import ExtendedInjector
    from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear
    from brevitas.proxy import ActQuantProxyFromInjector, WeightQuantProxyFromInjector


class Quantizer(nn.Module):
    """A Brevitas `tensor_quant`: returns (value, scale, zero_point, bit_width)."""

    def __init__(self, bits: int = 1) -> None:
        super().__init__()
        # Not in the state_dict: they are constants of the format, not of the network.
        self.register_buffer("zero_point", torch.tensor(0.0), persistent=False)
        self.register_buffer("bit_width", torch.tensor(float(bits)), persistent=False)
        self.register_buffer("one", torch.tensor(1.0), persistent=False)


class WeightQuantizer(Quantizer):
    """W = binarizer(w), with a place to record dL/dW and to move W by a perturbation that `sign` cannot swallow.

    `perturbation` (same shape as W, or None) is added to W; while `record` is set, dL/dW of the passes since is summed in `grad`.
    While `real` is set, and gradients are wanted, W = w: a stage of training with real weights. Evaluation always sees the bits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.binarizer: Binarizer | None = None
        self.perturbation: Tensor | None = None
        self.record = False
        self.real = False
        self.grad: Tensor | None = None

    def forward(self, w: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        weight = w if self.real and torch.is_grad_enabled() else self.binarizer(w)
        # One magnitude per output channel: what the exporter writes beside the bits.
        scale = weight.detach().abs().flatten(1).amax(1).view(-1, *[1] * (w.dim() - 1))
        if self.perturbation is not None:
            weight = weight + self.perturbation
        if self.record and weight.requires_grad:
            weight.register_hook(self._keep)
        return weight, scale, self.zero_point, self.bit_width

    def _keep(self, grad: Tensor) -> None:
        self.grad = grad.detach().clone() if self.grad is None else self.grad + grad.detach()


class ActivationQuantizer(Quantizer):
    """b = surrogate(a) with scale 1."""

    def __init__(self, surrogate: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.surrogate = surrogate

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.surrogate(x), self.one, self.zero_point, self.bit_width


def injector(proxy: type, quantizer: nn.Module, narrow: bool = True) -> type:
    """What Brevitas builds a quantized layer from, around a `tensor_quant` of ours."""
    # An instance, not a class: Brevitas builds `tensor_quant` anew whenever a state_dict is loaded, and a class would then
    # leave the optimizer with parameters that the network no longer uses.
    return type(
        "Quantizer",
        (ExtendedInjector,),
        {
            "proxy_class": proxy,
            "tensor_quant": quantizer,
            "signed": True,
            "narrow_range": narrow,
            "float_to_int_impl_type": "ROUND",
        },
    )


class BinaryLayer(nn.Module):
    """What training methods know of a layer with 1-bit weights. w: latent, (out_features, ...); W = the method's binarizer of w; no bias.

    The bias, the scale and every affine map after the layer fold into thresholds, so they live in the norm that follows.
    """

    out_features: int  # output channels

    @property
    def quantizer(self) -> WeightQuantizer:
        return self.weight_quant.tensor_quant

    @property
    def binarizer(self) -> Binarizer:
        return self.quantizer.binarizer

    @torch.no_grad()
    def effective_weight(self) -> Tensor:
        """W as the export writes it, like w, without any perturbation."""
        return self.binarizer(self.weight)

    @torch.no_grad()
    def bits(self) -> Tensor:
        """The exported bits, bool like w; True means +1. A binarizer of other values names its own."""
        own: Callable[[Tensor], Tensor] | None = getattr(self.binarizer, "bits", None)
        return own(self.weight) if own is not None else self.effective_weight() >= 0


class BinaryLinear(BinaryLayer, QuantLinear):
    """y = x W^T. x: (N, in_features); w: (out_features, in_features)."""

    def __init__(self, in_features: int, out_features: int, binarizer: Callable[[BinaryLayer], Binarizer]) -> None:
        quantizer = WeightQuantizer()
        super().__init__(in_features, out_features, bias=False, weight_quant=injector(WeightQuantProxyFromInjector, quantizer))
        quantizer.binarizer = binarizer(self)


class BinaryConv2d(BinaryLayer, QuantConv2d):
    """y = x * W, a convolution. x: (N, in_channels, H, W); w: (out_channels, in_channels, kernel, kernel).

    `padding` adds zeros, which the image's codes have (code 0) and bits have not: behind a sign, pad by a value of its own.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        binarizer: Callable[[BinaryLayer], Binarizer],
        stride: int = 1,
        padding: int = 0,
    ) -> None:
        quantizer = WeightQuantizer()
        super().__init__(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=padding,
            bias=False,
            weight_quant=injector(WeightQuantProxyFromInjector, quantizer),
        )
        self.out_features = out_channels
        quantizer.binarizer = binarizer(self)


def per_channel(values: Tensor, like: Tensor) -> Tensor:
    """(C,) as what is added to `like` (N, C) or (N, C, H, W) channel by channel."""
    return values if like.dim() == 2 else values.view(-1, *[1] * (like.dim() - 2))


class SignActivation(nn.Module):
    """b = sign(a + beta_c). a: (N, features) or (N, features, H, W); beta: learnable, (features,) (RSign, ReActNet, arXiv 2003.03488).

    Exports as Add and BipolarQuant; in hardware beta is part of a threshold. `surrogate` names another backward than Bi-Real's.
    While a method sets `keep`, `shifted` holds a + beta of the last forward, with its graph.
    """

    def __init__(self, features: int, surrogate: Callable[[Tensor], Tensor] = BiRealSign.apply) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(features))
        self.quant = QuantIdentity(act_quant=injector(ActQuantProxyFromInjector, ActivationQuantizer(surrogate)))
        self.keep = False
        self.shifted: Tensor | None = None

    def shift(self, a: Tensor) -> Tensor:
        """a + beta_c."""
        return a + per_channel(self.beta, a)

    def forward(self, a: Tensor) -> Tensor:
        shifted = self.shift(a)
        if self.keep:
            self.shifted = shifted
        return self.quant(shifted)


def binary_layers(model: nn.Module) -> dict[str, BinaryLayer]:
    """Every binary layer of `model` by its name, in the order of the network."""
    return {name: module for name, module in model.named_modules() if isinstance(module, BinaryLayer)}
