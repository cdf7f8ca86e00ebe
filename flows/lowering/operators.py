"""Which ONNX and QONNX operators lower, and why: by what they do to the elements of a tensor, never by pattern.

Element-wise operators are evaluated, whatever they compute; shape operators move elements, which costs nothing (`layout`); linear
operators become units; spatial ones are units too, or borders of those; a tail operator may only follow the logits, whose order it keeps.
"""

from __future__ import annotations

QONNX_DOMAIN = "qonnx.custom_op.general"
OLD_DOMAINS = ("finn.custom_op.general", "finn", "onnx.brevitas")  # the zoo's names of the same operators

# The number behind each operator bounds the float32 roundings between its inputs and its output, in units in the last place of
# the larger of the two. 0: only compares or copies. Operators made of exp or log are approximated by the runtime: 16.
ELEMENTWISE = {
    **dict.fromkeys(
        ("Abs", "Cast", "Ceil", "Clip", "Dropout", "Floor", "Identity", "Max", "Min", "Neg", "Relu", "Round", "Sign", "Where"), 0
    ),
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "ThresholdedRelu"), 0),
    **dict.fromkeys(("Add", "Div", "LeakyRelu", "Mul", "PRelu", "Reciprocal", "Sqrt", "Sub", "Sum"), 1),
    **dict.fromkeys(("HardSigmoid", "HardSwish", "Softsign"), 4),
    **dict.fromkeys(("Elu", "Erf", "Exp", "Log", "Mish", "Pow", "Selu", "Sigmoid", "Softplus", "Tanh"), 16),
    "BatchNormalization": 4,
    # Quantizers round a quotient that was itself rounded: counted at their input (`tie_bound`).
    **dict.fromkeys(("BipolarQuant", "DequantizeLinear", "IntQuant", "MultiThreshold", "Quant", "QuantizeLinear", "Trunc"), 2),
}
QUANTIZERS = ("BipolarQuant", "IntQuant", "MultiThreshold", "Quant", "QuantizeLinear", "Trunc")
SHAPE = ("Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
SUMS = ("AveragePool", "GlobalAveragePool", "ReduceMean")  # of each channel by itself, divided afterwards
LINEAR = ("Conv", "Gemm", "MatMul", *SUMS)
MAXIMA = ("GlobalMaxPool", "MaxPool")  # these and Pad change places with what is element-wise, wherever the file has them
SPATIAL = (*MAXIMA, "Pad")
ADDS = ("Add", "Sub", "Sum")  # of several branches, each quantized to one scale
CONCATS = ("Concat",)  # channels of several branches
SELECTS = ("Gather", "Slice", "Split")  # some channels of one branch
TAIL = ("ArgMax", "LogSoftmax", "Softmax")

OPERATORS = tuple(sorted((*ELEMENTWISE, *SHAPE, *SPATIAL, *LINEAR, *CONCATS, *SELECTS, *TAIL)))
