"""Files as others write them lower exactly: each operator set's way to say axes and limits, layers on pixels, Brevitas' own exports."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from arbonn.errors import LoweringError
from arbonn.flows.lowering.importer import import_model
from arbonn.flows.lowering.segments import cut
from tests.flows.images import Images
from tests.flows.lowering.test_lower_conv import assert_equal_to_file
from tests.flows.networks import Builder

OPSETS = (7, 9, 10, 11, 12, 13, 15, 18, 21)
FORMS = ("unsqueeze", "reshape", "transpose", "clip", "dropout", "identity")
FUNCTIONS = ("Relu", "LeakyRelu", "PRelu", "HardSigmoid", "Sigmoid", "Softsign", "Elu", "HardTanh", "PRelu one", "ThresholdedRelu")
QUANT = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}


def said(b: Images, op: str, value: object, name: str, since: int, **attributes: object) -> None:
    """An operator whose parameter is an attribute before operator set `since`, and an input from there on."""
    if b.opset >= since:
        b.then(op, value, **attributes)
    else:
        b.then(op, **{name: np.asarray(value).tolist()}, **attributes)


def form(b: Images, kind: str) -> None:
    """Operators that change nothing, as this operator set writes them."""
    c, h, w = b.size
    if kind == "unsqueeze":
        said(b, "Unsqueeze", np.array([1]), "axes", 13)
        said(b, "Squeeze", np.array([1]), "axes", 13)
    elif kind == "reshape":
        b.then("Reshape", np.array([0, 0, -1])).then("Reshape", np.array([-1, c, h, w]))
    elif kind == "transpose":
        b.then("Transpose", perm=[0, 2, 3, 1]).then("Transpose", perm=[0, 3, 1, 2])
    elif kind == "clip":
        if b.opset >= 11:
            b.then("Clip", np.float32(-6), np.float32(6))
        else:
            b.then("Clip", min=-6.0, max=6.0)
    elif kind == "dropout":
        said(b, "Dropout", np.float32(0.5), "ratio", 12)
    else:
        b.then("Identity")


def function(b: Images, kind: str) -> None:
    """A function of single elements, and a quantizer behind it."""
    if kind == "PRelu":
        b.then("PRelu", np.linspace(0.1, 0.6, b.size[0], dtype=np.float32).reshape(-1, 1, 1))
    elif kind == "PRelu one":
        b.then("PRelu", np.array([0.25], np.float32))
    elif kind == "HardTanh":
        if b.opset >= 11:
            b.then("Clip", np.float32(-1), np.float32(1))
        else:
            b.then("Clip", min=-1.0, max=1.0)
    elif kind != "ThresholdedRelu" or b.opset >= 10:
        b.then(kind)
    b.then("Quant", np.float32(0.3), np.float32(0), np.float32(3), **QUANT)


def reduced(b: Images, kind: str) -> None:
    """A layer that needs no weights from a convolution: sums, or a matrix on each pixel."""
    c, _, w = b.size
    if kind == "mean":
        said(b, "ReduceMean", np.array([2, 3]), "axes", 18, keepdims=1)
        b.size = (c, 1, 1)
    elif kind == "rows":
        said(b, "ReduceMean", np.array([-2]), "axes", 18, keepdims=0)
        b.size = (c, w)
    elif kind == "channels last":
        b.then("Transpose", perm=[0, 2, 3, 1])
        said(b, "ReduceMean", np.array([1, 2]), "axes", 18, keepdims=0)
        b.size = (c,)
    elif kind == "global":
        b.then("GlobalAveragePool")
    elif kind == "average":
        b.window("AveragePool", (), c, [2, 2], strides=[2, 2], pads=[0, 0, 0, 0])
    elif kind == "trunc":
        b.window("AveragePool", (), c, [2, 2], strides=[1, 1]).then("Mul", np.float32(4))
        b.then(
            "Trunc",
            np.float32(0.3),
            np.float32(0),
            np.float32(5),
            np.float32(1.2),
            np.float32(3),
            signed=1,
            narrow=0,
            rounding_mode="FLOOR",
        )
        return
    else:  # on each pixel, and a bias
        b.then("Transpose", perm=[0, 2, 3, 1])
        if kind == "steps":
            b.then("Reshape", np.array([0, -1, c]))
        signs = np.where(b.random.random((c, 4)) < 0.5, -1, 1).astype(np.float32)
        b.then("MatMul", signs if kind == "pixels" else signs[None]).then("Add", np.linspace(-1, 1, 4, dtype=np.float32))
    b.then("Quant", np.float32(0.2), np.float32(0), np.float32(3), **QUANT)


KINDS = ("mean", "rows", "channels last", "global", "average", "trunc", "pixels", "steps")


@st.composite
def foreign(draw: st.DrawFn) -> tuple[onnx.ModelProto, str]:
    """(network, contract)."""
    b = Images((draw(st.integers(1, 3)), draw(st.integers(3, 5)), draw(st.integers(3, 5))), draw(st.integers(0, 999)))
    b.opset = draw(st.sampled_from(OPSETS))
    kind = draw(st.sampled_from(KINDS))
    b.then("BatchNormalization", *(np.full(b.size[0], v, np.float32) for v in (0.5, 0.1, 0.2, 1.3)))
    b.conv(draw(st.integers(1, 4)), [2, 2], bits=draw(st.sampled_from((1, 2))), bias=draw(st.booleans()))
    for each in draw(st.lists(st.sampled_from(FORMS), max_size=3)):
        form(b, each)
    function(b, draw(st.sampled_from(FUNCTIONS)))
    reduced(b, kind)
    if draw(st.booleans()):
        b.then("Flatten")
    else:
        b.then("Reshape", np.array([draw(st.sampled_from((0, 1))), -1]))
    b.size = import_model(b.model(), "net.onnx").shapes[b.tensor][1:]
    if b.opset >= 11:
        b.dense(draw(st.integers(1, 3)))
    else:  # a Gemm had to have a bias
        signs = np.where(b.random.random((int(np.prod(b.size)), 3)) < 0.5, -1, 1).astype(np.float32)
        b.then("Gemm", signs, np.linspace(-1, 1, 3, dtype=np.float32), alpha=0.5, beta=2.0)
    return b.model(), draw(st.sampled_from(("uint2", "bipolar", "int3,scale=0.3,zero=1", "uint4,scale=1/15")))


@given(drawn=foreign())
@settings(max_examples=60)
def test_every_way_to_say_it_lowers_exactly(drawn: tuple[onnx.ModelProto, str]) -> None:
    assert_equal_to_file(*drawn, frames=10)


def dry(model: onnx.ModelProto) -> str:
    """What cutting says, if anything."""
    try:
        cut(import_model(model, "net.onnx"))
    except LoweringError as error:
        return error.found
    return ""


@given(
    size=st.tuples(st.integers(1, 4), st.integers(1, 4)), kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.tuples(*[st.integers(0, 1)] * 4), stride=st.integers(1, 2), counted=st.booleans(), ceil=st.booleans(),
)  # fmt: skip
@settings(max_examples=80)
def test_an_average_lowers_exactly_where_all_windows_have_as_many_values(
    size: tuple[int, int], kernel: tuple[int, int], pads: tuple[int, ...], stride: int, counted: bool, ceil: bool
) -> None:
    pads = tuple(min(p, kernel[k % 2] - 1) for k, p in enumerate(pads))
    kernel = (min(kernel[0], size[0] + pads[0] + pads[2]), min(kernel[1], size[1] + pads[1] + pads[3]))
    pads = tuple(min(p, kernel[k % 2] - 1) for k, p in enumerate(pads))
    kernel = (min(kernel[0], size[0] + pads[0] + pads[2]), min(kernel[1], size[1] + pads[1] + pads[3]))
    b = Images((2, *size))
    b.conv(2, [1, 1]).activation("signed3")
    b.opset = 19  # ceil_mode with borders that count was mended there
    border = {"pads": list(pads), "count_include_pad": int(counted), "ceil_mode": int(ceil)}
    b.then("AveragePool", kernel_shape=list(kernel), strides=[stride, stride], **border)
    b.activation("signed3").flat().dense(2)
    found = dry(b.model())
    if found:
        assert " values in some windows and " in found
    else:
        assert_equal_to_file(b.model(), "uint3", frames=5)


@pytest.mark.parametrize("inputs", [5, 6])
def test_trunc_of_both_versions_drops_low_bits(inputs: int) -> None:
    sums = np.arange(16, dtype=np.float32)
    parameters = [np.float32(p) for p in ((0.5, 0, 4, 2) if inputs == 5 else (0.5, 0, 4, 2, 2))]  # of 4 bits 2 stay: a scale of 2
    attributes = {} if inputs == 5 else {"signed": 0, "narrow": 0}
    b = Builder((1, 16)).then("Trunc", *parameters, rounding_mode="FLOOR", **attributes).then("MatMul", np.eye(16, dtype=np.float32))
    network = import_model(b.model(), "net.onnx")
    given = 0.5 * sums[None]
    expected = (sums // 4) * (0.5 if inputs == 5 else 2.0)  # version 1 keeps the scale that it was given
    assert_array_equal(network.evaluate(network.nodes[:1], "x", given)["t0"][0], expected)
    assert_array_equal(network.execute(given)["t0"][0], expected)


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_layers_with_a_kernel_of_one_or_a_channel_of_one(axes: int, multiplier: int) -> None:
    for channels in (1, 3):
        b = Images((channels, *[4] * axes), channels)
        b.conv(channels * multiplier, [1] * axes, groups=channels, bias=True).activation("quant2")
        b.conv(channels * multiplier, [2] * axes, groups=channels * multiplier, dilations=[2] * axes).activation("sign")
        assert_equal_to_file(b.flat().dense(2).model(), "uint2")


def test_a_clip_between_quantize_and_dequantize() -> None:
    for low, high in ((-7, 7), (-2, 1)):
        b = Images((2, 4, 4)).conv(3, [2, 2])
        b.then("QuantizeLinear", np.float32(0.4), np.int8(0)).then("Clip", np.int8(low), np.int8(high))
        b.then("DequantizeLinear", np.float32(0.4), np.int8(0))
        graph = assert_equal_to_file(b.flat().dense(3).model(), "uint3")
        assert {s.dtype.name for s in graph.streams} >= {f"INT{4 if low == -7 else 2}"}


BUILT = [(average, style) for average in ("none", "max", "trunc", "mean") for style in ("qonnx", "qcdq")]


@pytest.mark.parametrize(("pooling", "style"), BUILT)
def test_what_brevitas_exports(pooling: str, style: str, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 16, (20, 2, 6, 6)).astype(np.float32) / 15
    model, logits = brevitas_model(pooling, style, tmp_path / "net.onnx", images)
    assert_equal_to_file(model, "uint4,scale=1/15", frames=10)
    network = import_model(model, "net.onnx")
    # The file and Brevitas may round a tie apart, which moves a logit by a level: most are equal but for float32 roundings.
    assert (np.abs(network.execute(images)[network.output] - logits) < 1e-4).mean() > 0.9


def brevitas_model(pooling: str, style: str, path: Path, images: NDArray[np.float32]) -> tuple[onnx.ModelProto, NDArray[np.float32]]:
    """(file, logits of images): a convolution, a norm, an activation of its kind, a pooling and a dense layer, with drawn parameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Brevitas' own, about parts of itself
        import brevitas.nn as qnn
        import torch
        from brevitas.export import export_onnx_qcdq, export_qonnx
        from brevitas.quant import Int8WeightPerTensorFloat
        from torch import nn

    torch.manual_seed(len(pooling))
    weights = {"weight_quant": Int8WeightPerTensorFloat, "weight_bit_width": 3}
    activations = {
        "none": lambda: qnn.QuantHardTanh(bit_width=2, min_val=-1.0, max_val=1.0, return_quant_tensor=True),
        "max": lambda: qnn.QuantSigmoid(bit_width=3, return_quant_tensor=True),
        "trunc": lambda: qnn.QuantReLU(bit_width=3, return_quant_tensor=True),
        "mean": lambda: qnn.QuantTanh(bit_width=3, return_quant_tensor=True),
    }
    front = [qnn.QuantIdentity(bit_width=4, return_quant_tensor=True), qnn.QuantConv2d(2, 3, 3, padding=1, **weights), nn.BatchNorm2d(3)]
    poolings = {
        "none": list[nn.Module](),
        "max": [nn.MaxPool2d(2)],
        "trunc": [qnn.TruncAvgPool2d(2, bit_width=3)],
        "mean": [nn.AdaptiveAvgPool2d(1), qnn.QuantIdentity(bit_width=3, return_quant_tensor=True)],
    }
    body = nn.Sequential(*front, activations[pooling](), *poolings[pooling])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's and Brevitas' own, about named tensors and tracing
        body(torch.rand(8, 2, 6, 6))
        out = body.eval()(torch.rand(1, 2, 6, 6))
        size = int(np.prod(getattr(out, "value", out).shape[1:]))
        whole = nn.Sequential(body, nn.Flatten(), qnn.QuantLinear(size, 3, bias=True, **weights)).eval()
        export = export_qonnx if style == "qonnx" else export_onnx_qcdq
        logits = whole(torch.from_numpy(images)).detach().numpy()
        export(whole, torch.rand(1, 2, 6, 6), str(path), dynamo=False, opset_version=13)
    return onnx.load(path), logits
