"""Export to QONNX: the file that the compiler, Netron and every QONNX tool read.

Node names are module names (`/fc0/MatMul`), metadata say what the input means and where the file comes from, and nothing in the
file depends on the day or the machine: one recipe, one set of versions, one file.
"""

from __future__ import annotations

import copy
import json
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from arbonn.files import replacing
from arbonn.model.layers import BinaryConv2d, BinaryLayer, binary_layers
from arbonn.model.methods.binarizers import LargestSigns, TwoValues
from arbonn.model.recipe import TrainRecipe
from arbonn.model.surrogates import sign

with warnings.catch_warnings():
    # see layers.py: Brevitas warns about its own parts at import
    warnings.simplefilter("ignore")
    from brevitas.export import export_qonnx
    from brevitas.export.onnx.qonnx.function import BrevitasBinaryQuantOp, BrevitasQuantOp

INPUT, OUTPUT = "x", "logits"
INPUT_KEY, PROVENANCE_KEY = "arbonn.input", "arbonn.provenance"


def export(network: nn.Module, path: Path, recipe: TrainRecipe, contract: str, frame: tuple[int, ...]) -> None:
    """Writes the `network` of a recipe as QONNX: x (1, *frame) float -> logits (1, classes), opset 13 and qonnx.custom_op.general.

    The batch is 1, as the hardware's; `qonnx.transformation.change_batchsize` widens it for bulk execution.
    """
    _write(network, path, recipe.network.name, contract, frame, provenance(recipe))


def export_network(network: nn.Module, path: Path, contract: str, frame: tuple[int, ...], name: str) -> None:
    """The same for a network that no recipe made: any module of layers of ours, of Brevitas' or both. `network` stays as it is."""
    _write(network, path, name, contract, frame, {"versions": _versions()})


def _write(network: nn.Module, path: Path, name: str, contract: str, frame: tuple[int, ...], made: dict[str, object]) -> None:
    frozen = copy.deepcopy(network).cpu().eval()
    for place, layer in binary_layers(frozen).items():
        if isinstance(layer.binarizer, TwoValues):
            frozen.set_submodule(place, _TwoValued(layer))
            continue
        if isinstance(layer.binarizer, LargestSigns):
            frozen.set_submodule(place, _Ternary(layer))
            continue
        weight = layer.effective_weight()
        # The exporter writes BipolarQuant(weight, scale). A method's bits need not be the signs of its latent weights, so what is
        # written as weight is the bits themselves.
        layer.quantizer.binarizer = _FixedScale(weight.abs().flatten(1).amax(1).view(-1, *[1] * (weight.dim() - 1)))
        layer.weight.data = sign(weight)
    with replacing(path) as temporary:
        with warnings.catch_warnings():
            # The TorchScript exporter is deprecated and says so at every call; the new one is slower and its graphs are less plain.
            warnings.simplefilter("ignore", DeprecationWarning)
            export_qonnx(
                frozen,
                args=torch.zeros(1, *frame),
                export_path=str(temporary),
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamo=False,
                opset_version=13,
            )
        model = onnx.load(temporary)
        model.graph.name = name
        # The exporter lists parameters as inputs too, as in ONNX before IR 4: tools would ask for them.
        parameters = {tensor.name for tensor in model.graph.initializer}
        inputs = [port for port in model.graph.input if port.name not in parameters]
        del model.graph.input[:]
        model.graph.input.extend(inputs)
        metadata = {INPUT_KEY: contract, PROVENANCE_KEY: json.dumps(made, sort_keys=True)}
        for key, value in metadata.items():
            model.metadata_props.add(key=key, value=value)
        onnx.save(model, temporary)


def provenance(recipe: TrainRecipe) -> dict[str, object]:
    """Recipe and versions: what it takes to make the file again. No date, no path."""
    return {"recipe": recipe.training(), "versions": _versions()}


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("arbonn", "torch", "brevitas", "onnx", "numpy", "scikit-learn")}


class _FixedScale(nn.Module):
    """w -> scale_c * sign(w)."""

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)

    def forward(self, w: Tensor) -> Tensor:
        return self.scale * sign(w)


class _Ternary(nn.Module):
    """A layer of weights -1, 0 and 1 times one scale, written as a narrow Quant of 2 bits."""

    def __init__(self, layer: BinaryLayer) -> None:
        super().__init__()
        one = [1] * layer.weight.dim()
        self.register_buffer("weight", layer.effective_weight())
        self.register_buffer("scale", torch.full(one, layer.binarizer.scale))
        self.register_buffer("zero_point", torch.zeros(one))
        self.register_buffer("bit_width", torch.tensor(2.0))
        self.window: Any = (layer.stride, layer.padding) if isinstance(layer, BinaryConv2d) else None

    def forward(self, x: Tensor) -> Tensor:
        quantized = (self.weight, self.scale, self.zero_point, self.bit_width, True, True, "ROUND")
        weight = BrevitasQuantOp.torchscript.apply(*quantized)
        return nn.functional.linear(x, weight) if self.window is None else nn.functional.conv2d(x, weight, None, *self.window)


class _TwoValued(nn.Module):
    """A layer of W = scale * b + shift, written as BipolarQuant and Add: Brevitas' own handler would drop the shift."""

    def __init__(self, layer: BinaryLayer) -> None:
        super().__init__()
        with torch.no_grad():
            scale, shift = layer.binarizer.values()
        one = [1] * layer.weight.dim()
        # BipolarQuant wants scale > 0; a negative one is the complement of the bits.
        self.register_buffer("weight", torch.where(layer.bits() == (scale >= 0), 1.0, -1.0))
        self.register_buffer("scale", scale.detach().abs().view(one))
        self.register_buffer("shift", shift.detach().view(one))
        self.window: Any = (layer.stride, layer.padding) if isinstance(layer, BinaryConv2d) else None

    def forward(self, x: Tensor) -> Tensor:
        weight = BrevitasBinaryQuantOp.torchscript.apply(self.weight, self.scale, None, None, True, True, "ROUND") + self.shift
        return nn.functional.linear(x, weight) if self.window is None else nn.functional.conv2d(x, weight, None, *self.window)
