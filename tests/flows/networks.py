"""Small QONNX networks for tests: random perceptrons in the styles that exporters write, and a builder for odd ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

QONNX = "qonnx.custom_op.general"
CUSTOM = ("BipolarQuant", "IntQuant", "MultiThreshold", "Quant", "Trunc", "Mystery")


@dataclass
class Builder:
    """Appends nodes to a chain; `tensor` is its end."""

    shape: tuple[Any, ...]
    opset: int = 13
    domain: str = QONNX
    tensor: str = "x"
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, value: Any) -> str:
        name, array = f"c{len(self.constants)}", np.asarray(value)
        self.constants.append(numpy_helper.from_array(array.astype(np.float32) if array.dtype.kind == "f" else array, name))
        return name

    def then(self, op: str, *others: Any, first: bool = True, **attributes: Any) -> Builder:
        """Appends op(tensor, *others); arrays become constants, strings name tensors. `first` False: op(*others, tensor)."""
        names = [o if isinstance(o, str) else self.constant(o) for o in others]
        inputs = [self.tensor, *names] if first else [*names, self.tensor]
        out = f"t{len(self.nodes)}"
        domain = self.domain if op in CUSTOM else ""
        self.nodes.append(helper.make_node(op, inputs, [out], f"{op.lower()}{len(self.nodes)}", domain=domain, **attributes))
        self.tensor = out
        return self

    def weights(self, latent: NDArray[np.float32], bits: int, scale: NDArray[np.float32]) -> str:
        """Latent weights (rows, columns) behind their quantizer, as Brevitas exports them."""
        before, self.tensor = self.tensor, self.constant(latent)
        if bits == 1:
            self.then("BipolarQuant", scale)
        else:
            self.then("Quant", scale, np.float32(0), np.float32(bits), signed=1, narrow=1, rounding_mode="ROUND")
        name, self.tensor = self.tensor, before
        return name

    def model(self, **metadata: str) -> onnx.ModelProto:
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "net",
            [info("x", TensorProto.FLOAT, self.shape)],
            [info(self.tensor, TensorProto.FLOAT, None)],
            self.constants,
        )
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid(self.domain, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        for key, value in metadata.items():
            model.metadata_props.add(key=key.replace("_", "."), value=value)
        return model


@dataclass(frozen=True)
class LayerSpec:
    """One linear layer with norm and activation, all parameters written out, so that a test can permute them."""

    latent: NDArray[np.float32]
    bits: int
    scale: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    norm: tuple[NDArray[np.float32], ...] | None
    activation: str
    gemm: bool = False

    def permuted(self, rows: NDArray[np.int64]) -> LayerSpec:
        return replace(
            self,
            latent=self.latent[rows],
            scale=self.scale[rows] if self.scale.ndim else self.scale,
            bias=None if self.bias is None else self.bias[rows],
            norm=None if self.norm is None else tuple(p[rows] for p in self.norm),
        )


ACTIVATIONS = ("sign", "prelu-sign", "quant2", "signed3", "sigmoid", "relu4", "tanh-falls", "multithreshold", "qcdq", "abs")


def activate(b: Builder, kind: str, channels: int) -> None:
    """Appends an activation that gives few values."""
    quant = {"narrow": 0, "rounding_mode": "ROUND"}
    zero = np.float32(0)
    if kind == "sign":
        b.then("BipolarQuant", np.float32(1))
    elif kind == "prelu-sign":
        b.then("PRelu", np.linspace(-0.5, 0.5, channels, dtype=np.float32)).then("Add", np.float32(-0.3)).then(
            "BipolarQuant", np.float32(0.5)
        )
    elif kind == "quant2":
        b.then("Relu").then("Quant", np.float32(0.7), zero, np.float32(2), signed=0, **quant)
    elif kind == "signed3":
        b.then("Quant", np.float32(0.3), zero, np.float32(3), signed=1, **quant)
    elif kind == "sigmoid":
        b.then("Sigmoid").then("Quant", np.float32(1 / 7), zero, np.float32(3), signed=0, **quant)
    elif kind == "relu4":
        b.then("Clip", np.float32(0), np.float32(6)).then("Mul", np.float32(0.5)).then(
            "IntQuant", np.float32(0.2), zero, np.float32(4), signed=0, **quant
        )
    elif kind == "tanh-falls":
        b.then("Tanh").then("Neg").then("Quant", np.float32(0.25), np.float32(1), np.float32(3), signed=1, **quant)
    elif kind == "multithreshold":
        steps = np.sort(np.linspace(-2, 2, 3)[None] + np.linspace(-1, 1, channels)[:, None], axis=1)
        b.then("MultiThreshold", steps.astype(np.float32), out_dtype="INT3", out_scale=1.0, out_bias=-1.0)
    elif kind == "qcdq":
        b.then("QuantizeLinear", np.float32(0.4), np.uint8(3)).then("DequantizeLinear", np.float32(0.4), np.uint8(3))
        b.then("Clip", np.float32(-1.2), np.float32(2.0))
    elif kind == "abs":  # neither rising nor falling: a table
        b.then("Abs").then("Quant", np.float32(1.1), zero, np.float32(2), signed=0, **quant)


def perceptron(
    layers: list[LayerSpec], inputs: int, *, front: str = "", opset: int = 13, domain: str = QONNX, tail: str = ""
) -> onnx.ModelProto:
    """The file of a perceptron."""
    b = Builder(("batch", inputs), opset, domain)
    if front == "sign":
        b.then("Mul", np.float32(2)).then("Sub", np.float32(1)).then("BipolarQuant", np.float32(1))
    elif front == "normalized":
        b.then("Sub", np.float32(0.1307)).then("Div", np.float32(0.3081))
    for layer in layers:
        rows = len(layer.latent)
        scale = layer.scale.reshape(-1, 1) if layer.scale.ndim else layer.scale
        weights = b.weights(layer.latent, layer.bits, scale)
        if layer.gemm:
            b.then("Gemm", weights, *([] if layer.bias is None else [layer.bias]), transB=1)
        else:
            before, b.tensor = b.tensor, weights
            weights, b.tensor = b.then("Transpose", perm=[1, 0]).tensor, before
            b.then("MatMul", weights)
            if layer.bias is not None:
                b.then("Add", layer.bias)
        if layer.norm is not None:
            b.then("BatchNormalization", *layer.norm, epsilon=1e-5)
        activate(b, layer.activation, rows)
    if tail:
        b.then(tail, **({"axis": 1} if tail != "ArgMax" else {"axis": 1, "keepdims": 0}))
    return b.model()


def draw_layers(
    seed: int, sizes: list[int], bits: int, activation: str, *, norm: bool, bias: bool, gemm: bool, dyadic: bool
) -> list[LayerSpec]:
    """Random layers. `dyadic`: scales are powers of two and biases multiples of 2^-6, so that float32 execution is exact."""
    random = np.random.default_rng(seed)
    layers = []
    for k, (columns, rows) in enumerate(pairwise(sizes)):
        scale = np.float32(0.25) if dyadic else (0.2 + random.random(rows if bits == 1 else ())).astype(np.float32)
        numbers = random.normal(size=rows)
        norms = (random.normal(size=rows), random.normal(size=rows), random.normal(size=rows), 0.3 + random.random(rows))
        layers.append(
            LayerSpec(
                random.normal(size=(rows, columns)).astype(np.float32),
                bits,
                np.asarray(scale),
                (np.round(numbers * 64) / 64 if dyadic else numbers).astype(np.float32) if bias else None,
                tuple(p.astype(np.float32) for p in norms) if norm else None,
                activation if k + 2 < len(sizes) else "",
                gemm,
            )
        )
    return layers


@dataclass(frozen=True)
class Case:
    """A drawn network with the contract to lower it by."""

    layers: list[LayerSpec]
    inputs: int
    front: str
    contract: str
    opset: int
    domain: str
    tail: str

    def model(self) -> onnx.ModelProto:
        return perceptron(self.layers, self.inputs, front=self.front, opset=self.opset, domain=self.domain, tail=self.tail)


@st.composite
def cases(draw: st.DrawFn, *, dyadic: bool = False) -> Case:
    """Perceptrons of one to three layers in every style."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=2, max_size=4))
    layers = draw_layers(
        draw(st.integers(0, 2**16)),
        sizes,
        draw(st.sampled_from((1, 1, 2, 3, 4))),
        draw(st.sampled_from(("sign",) if dyadic else ACTIVATIONS)),
        norm=not dyadic and draw(st.booleans()),
        bias=draw(st.booleans()),
        gemm=draw(st.booleans()),
        dyadic=dyadic,
    )
    contracts = (
        ("uint8,scale=1/256", "bipolar", "uint3")
        if dyadic
        else ("uint8,scale=1/255", "int4,scale=0.3,zero=2", "bipolar", "uint5,scale=1/16,high=16")
    )
    return Case(
        layers,
        sizes[0],
        draw(st.sampled_from(("", "sign") if dyadic else ("", "sign", "normalized"))),
        draw(st.sampled_from(contracts)),
        draw(st.sampled_from((13, 17))),
        draw(st.sampled_from((QONNX, "finn.custom_op.general", "onnx.brevitas"))),
        draw(st.sampled_from(("", "Softmax", "ArgMax"))),
    )
