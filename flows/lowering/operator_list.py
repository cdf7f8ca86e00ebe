"""What lowers, as a table: every operator of `operators`, how it lowers, and what is not taken of it."""

from __future__ import annotations

from typing import NamedTuple

from arbonn.flows.lowering.operators import CONCATS, ELEMENTWISE, LINEAR, MAXIMA, OPERATORS, QUANTIZERS, SELECTS, SHAPE, SUMS, TAIL
from arbonn.flows.lowering.weights import WEIGHT_BITS

QONNX_OPERATORS = ("BipolarQuant", "IntQuant", "MultiThreshold", "Quant", "Trunc")


class Operator(NamedTuple):
    """One row: the operator, where it is defined, its group, how it lowers, what is not taken."""

    name: str
    domain: str
    group: str
    how: str
    limits: str


GROUPS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("average", SUMS, "a sum of each channel; its division goes into what follows"),
    ("linear", LINEAR, "MVAU or VVAU; SWG in front of windows"),
    ("pooling", MAXIMA, "MaxPool on the integers behind it"),
    ("padding", ("Pad",), "in the SWG that follows, else FMPadding"),
    ("shape", SHAPE, "an order of elements: no unit"),
    ("concatenation", CONCATS, "a Concat of channels"),
    ("selection", SELECTS, "a Split of channels; in another order of weights where every channel is taken"),
    ("tail", TAIL, "left to the host; LabelSelect gives the greatest"),
    ("quantizer", QUANTIZERS, "evaluated at every integer: thresholds or a table"),
    ("element-wise", tuple(ELEMENTWISE), "evaluated at every integer: thresholds or a table"),
)

LIMITS = {
    **dict.fromkeys(("Conv", "Gemm", "MatMul"), f"constant weights of at most {WEIGHT_BITS} bits times one scale a row"),
    **dict.fromkeys(MAXIMA, "values only, not their places; a rising or falling function behind it"),
    **dict.fromkeys(SHAPE, "the batch stays the first axis; channels stay apart from rows and columns"),
    **dict.fromkeys(TAIL, "only the last node"),
    **dict.fromkeys(("Div", "Max", "Min", "Mul", "Pow", "Where"), "other operands: constants of a channel, or of the same layer"),
    **dict.fromkeys(("Add", "Sub", "Sum"), "other operands: constants of a channel, or quantized tensors of the same shape (AddStreams)"),
    "Concat": "channels, at most 16 tensors",
    **dict.fromkeys(("Gather", "Slice", "Split"), "channels only, each of them once"),
    "AveragePool": "as many values in each window: padding counts, or reaches into all alike",
    "BatchNormalization": "in evaluation mode",
    "Pad": "rows and columns, by a constant",
    "ReduceMean": "over rows, columns or both",
}


def operator_list() -> list[Operator]:
    """A row for each operator that lowers, in the order of the alphabet."""
    rows = []
    for name in OPERATORS:
        group, _, how = next((g for g in GROUPS if name in g[1]), ("other", (), "see the documentation"))
        rows.append(Operator(name, "qonnx" if name in QONNX_OPERATORS else "onnx", group, how, LIMITS.get(name, "")))
    xnor = Operator("XnorPopcountMatMul", "qonnx", "linear", "MVAU", "constant weights of bits; it is read as the MatMul that it computes")
    return [*rows, xnor]
