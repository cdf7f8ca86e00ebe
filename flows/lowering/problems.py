"""What would help with a node that does not lower: one line for each reason, beside the reasons that `cut` and the importer give."""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from arbonn.errors import LoweringError, Problem

LIST = "`arbonn lower --list-operators` shows what can stand there"

# Operators that people meet most often, with why they do not lower and what to train in their place.
UNKNOWN = {
    **dict.fromkeys(("GRU", "LSTM", "RNN"), ("is recurrent", "replace it by a 1-D convolution over time")),
    **dict.fromkeys(
        ("GroupNormalization", "InstanceNormalization", "LRN", "LayerNormalization", "LpNormalization", "MeanVarianceNormalization"),
        ("divides by statistics of each frame", "train with BatchNormalization"),
    ),
    **dict.fromkeys(
        ("Resize", "Upsample"), ("gives more pixels than it takes", "train at the size that is wanted; poolings make it smaller")
    ),
    **dict.fromkeys(
        ("ConvTranspose", "DepthToSpace", "SpaceToDepth"), ("moves pixels to other places", "replace it by a Conv with a stride")
    ),
    **dict.fromkeys(("Attention", "Einsum", "MultiHeadAttention"), ("multiplies tensors with each other", "multiply by constant weights")),
    **dict.fromkeys(("If", "Loop", "Scan"), ("depends on the data which nodes run", "export the network traced, not scripted")),
    **dict.fromkeys(("LpPool", "GlobalLpPool", "ReduceL2"), ("takes a norm of many elements", "replace it by a maximum or an average")),
}

# Beginnings of reasons, the first that fits.
ADVICE = (
    ("does not run", "export the network again: `arbonn train` or brevitas.export.export_qonnx"),
    ("takes the constant", "train again: a training that diverged leaves such values"),
    ("has the scale", "give a finite scale that is not 0"),
    ("has the variance", "give a variance of 0 or more"),
    ("quantizes to", "give a whole number of bits, 1 to 64"),
    ("takes in the values of a Pad", "pad in front of a Conv or a pooling only"),
    ("takes ", "take channels only, of every frame"),
    ("joins branches", "quantize each branch to one scale and add them, or put them side by side by Concat"),
    ("joins rows", "join channels: axis 1 of (batch, channels, height, width)"),
    ("puts constants", "leave out the constants"),
    ("puts ", "put them side by side in groups"),
    ("adds a constant", "add it to one of the branches, in front of its quantizer"),
    ("adds more", "add them in groups"),
    ("joins two tensors", "bring both to the same shape and order, NCHW say, before they are joined"),
    ("joins ", "bring both to the same rows and columns, and to the same shape for a sum"),
    ("follows ", "leave the node to the host: it may only be the last"),
    ("has weights that are not constant", "multiply by constant weights, as the second operand"),
    ("multiplies by weights", "use weights with two axes: (inputs, outputs)"),
    ("transposes its input", "export with transA = 0"),
    ("works on an input", "Flatten before it, or Transpose to (batch, pixels, features) behind a Conv"),
    ("works on shape", "put channels first: (batch, channels, height, width)"),
    ("works on windows of a vector", "Reshape to (batch, channels, height, width) before it"),
    ("adds a bias", "give one value a row"),
    ("averages", "average windows inside the image, or count the padding: count_include_pad = 1"),
    ("turns shape", "keep the batch as the first axis and the shape through element-wise operators"),
    ("mixes the channels", "Flatten, or Transpose, before a layer only"),
    ("pads ", "pad rows and columns by a constant"),
    ("crops ", "use pads of zero or more"),
    ("gives the places", "leave out the second output"),
    ("has windows of nothing", "pad by less than the kernel"),
    ("has parameters that depend", "export with parameters that are constants"),
    ("has constants that differ within a batch", "give constants that hold for every frame"),
    ("has constants that differ within a channel", "give one constant a channel"),
    ("is in training mode", "export the network in evaluation mode: model.eval()"),
    ("row ", "train with quantized weights"),
    ("does not lower", LIST),
)


def why_unknown(operator: str) -> str:
    """Why an operator that is none of ours does not lower."""
    return UNKNOWN.get(operator, ("has no lowering", ""))[0]


def problem(node: onnx.NodeProto, why: str) -> Problem:
    """A node's problem with what would help."""
    named = UNKNOWN.get(node.op_type)
    if named is not None and why in ("does not lower", named[0]):
        return Problem(node.name, node.op_type, *named)
    return Problem(node.name, node.op_type, why, advice(why))


def advice(why: str) -> str:
    """What would help with a reason."""
    return next((fix for start, fix in ADVICE if why.startswith(start)), LIST)


def with_problems(error: LoweringError, found: Iterable[tuple[onnx.NodeProto, str]]) -> LoweringError:
    """The error with one entry for each (node, why)."""
    error.problems = tuple(problem(node, why) for node, why in found)
    return error
