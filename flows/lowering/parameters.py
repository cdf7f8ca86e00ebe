"""Constants that mean nothing: what runs without a word, or with a warning, and gives numbers that nobody asked for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from arbonn.flows.lowering.network import Array

WIDEST = 64  # bits of a quantizer
SCALED = dict.fromkeys(("BipolarQuant", "DequantizeLinear", "IntQuant", "Quant", "QuantizeLinear", "Trunc"), 1)  # which input is the scale
WIDTHS = {"IntQuant": (3,), "Quant": (3,), "Trunc": (3, -1)}  # which inputs are numbers of bits
FINITE = ("Add", "BatchNormalization", "Conv", "Div", "Gemm", "MatMul", "Mul", "Sub")  # bounds, of a Clip say, may be infinite
EPSILON = 1e-5  # of a BatchNormalization that states none


def wrong_parameter(node: onnx.NodeProto, constants: Mapping[str, Array]) -> str:
    """What is wrong with the constants that a node takes, as a reason; empty where all is well."""
    for name in node.input:
        value = constants.get(name)
        if value is None or value.dtype.kind not in "fc":
            continue
        if wrong := int(np.isnan(value).sum()):
            return f"takes the constant {name!r}, of whose {value.size} values {wrong} are no numbers (NaN)"
        if node.op_type in FINITE and (wrong := int(np.isinf(value).sum())):
            return f"takes the constant {name!r}, of whose {value.size} values {wrong} are infinite"
    scale = _of(node, SCALED.get(node.op_type, 0), constants)
    divides = node.op_type != "BipolarQuant"
    if scale is not None and len(wrongs := scale[~np.isfinite(scale) | (divides & (scale == 0))]):
        return f"has the scale {wrongs[0]:g}"
    for place in WIDTHS.get(node.op_type, ()):
        bits = _of(node, place, constants)
        if bits is not None and len(wrongs := bits[~((bits >= 1) & (bits <= WIDEST) & (bits == np.round(bits)))]):
            return f"quantizes to {wrongs[0]:g} bits"
    variance = _of(node, 4 if node.op_type == "BatchNormalization" else 0, constants)
    epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), EPSILON)
    if variance is not None and len(wrongs := variance[variance + epsilon <= 0]):
        return f"has the variance {wrongs[0]:g}"
    return ""


def _of(node: onnx.NodeProto, place: int, constants: Mapping[str, Array]) -> Array | None:
    """The constant input at `place`, flat; the first input is the data, never a parameter."""
    if place == 0 or len(node.input) <= 1:
        return None
    value = constants.get(node.input[min(place, len(node.input) - 1)])
    return None if value is None else np.atleast_1d(value).astype(np.float64).reshape(-1)
