"""Constant operands of element-wise operators, cut to the one pixel on which a region is evaluated."""

from __future__ import annotations

import numpy as np
import onnx

from arbonn.flows.lowering.network import Array
from arbonn.flows.lowering.region import picks_of, pixel
from arbonn.hw.datatypes import Integers


def of_pixel(node: onnx.NodeProto, constant: Array, order: Integers, channels: int) -> Array | None:
    """A constant operand cut to the stream's first pixel; None where it differs between the pixels of a channel."""
    sizes, tail = _aligned(node, constant, order.ndim)
    view = constant.reshape(*sizes, *tail)
    picks = picks_of(order, channels)
    assert picks is not None
    kept = view[np.ix_(*(pick if size > 1 else np.zeros(1, int) for pick, size in zip(picks, sizes, strict=True)))]
    if channels < order.size:
        every = np.broadcast_to(view, (*order.shape, *tail))
        first = np.empty((channels, *tail), constant.dtype)
        first[pixel(order, channels).reshape(-1)] = every[np.ix_(*picks)].reshape(channels, *tail)
        real = order >= 0
        if not np.array_equal(every[real], first[order[real] % channels]):
            return None
    rank = constant.ndim - len(tail)
    lead = kept.shape[: order.ndim]
    axes = [size for size in lead if size > 1] if rank == 1 else [1] * (rank - order.ndim) + list(lead)[max(0, order.ndim - rank) :]
    return kept.reshape(*(axes or [1]), *tail)


def _aligned(node: onnx.NodeProto, constant: Array, rank: int) -> tuple[list[int], list[int]]:
    """A constant's sizes along the axes of its tensor (without the batch), and those along no axis: a channel's own thresholds."""
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    axis, tail = None, list[int]()
    if node.op_type == "MultiThreshold":
        guessed = {1: "NC", 2: "NWC", 3: "NCHW"}.get(rank, "NC")  # as qonnx guesses it
        axis = (attributes.get("data_layout", b"").decode() or guessed).index("C") - 1
        tail = [constant.shape[1]]
    elif node.op_type == "BatchNormalization":
        axis = 0
    elif node.op_type in ("QuantizeLinear", "DequantizeLinear") and constant.ndim == 1:
        axis = attributes.get("axis", 1) % (rank + 1) - 1
    if axis is not None:
        return [constant.shape[0] if k == axis else 1 for k in range(rank)], tail
    # numpy's rule: along the last axes; an axis more than the tensor has is the batch, of size 1.
    return [1] * (rank - constant.ndim) + list(constant.shape)[max(0, constant.ndim - rank) :], tail
