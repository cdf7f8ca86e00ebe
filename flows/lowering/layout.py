"""Where each element of a file's tensor stands on a stream, through any chain of shape operators: found by running them on indices.

An *order* is an integer array of the tensor's shape without the batch: the element's place in the stream's frame, pixel * C + channel
(channel fastest), or -1 for an element that padding added. Files are NCHW, streams NHWC; no unit is needed to tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx

from arbonn.flows.lowering.network import Array, Network
from arbonn.hw.datatypes import Integers


class Image(NamedTuple):
    """An order that is an image: tensor channel c is the stream's channel `channels[c]`; `border` (top, left, bottom, right) is padding."""

    shape: tuple[int, int, int]
    channels: Integers
    border: tuple[int, int, int, int]


def image_order(shape: Sequence[int], channels: Integers | None = None, axes: int = 2) -> Integers:
    """The order of a tensor (C, H, W), or (C, W) with one of `axes`, whose stream is (H, W, C)."""
    height, width, count = shape
    order = np.arange(height * width * count).reshape(height, width, count)[:, :, slice(None) if channels is None else channels]
    order = order.transpose(2, 0, 1)
    return order if axes == 2 else order[:, 0]


def as_image(order: Integers, shape: Sequence[int]) -> Image | None:
    """What of a stream (H, W, C) the order shows as an image with channels first; None if it is none, or has other sizes."""
    if order.ndim not in (2, 3):
        return None
    planes = order[:, None] if order.ndim == 2 else order
    inside = planes[0] >= 0
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return None
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    core = planes[:, top:bottom, left:right]
    stream = (1, 1, shape[-1]) if len(shape) == 1 else tuple(shape)
    channels = core[:, 0, 0]
    if core.shape != (stream[2], *stream[:2]) or (planes >= 0).sum() != core.size or channels.max() >= stream[2]:
        return None
    if not np.array_equal(core, image_order(stream, channels)):
        return None
    border = (int(top), int(left), int(planes.shape[1] - bottom), int(planes.shape[2] - right))
    return Image((stream[0], stream[1], stream[2]), channels, border)


def padding_of(network: Network, node: onnx.NodeProto) -> tuple[list[tuple[int, int]], float] | str:
    """(pads of each axis but the batch, value) of a Pad node, or why it does not lower."""
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if attributes.get("mode", b"constant") != b"constant":
        return f"pads in mode {attributes['mode'].decode()!r}, not by a constant"
    if any(i and i not in network.constants for i in node.input[1:]):
        return "has parameters that depend on the network's input"
    given: list[Array | None] = [network.constants[i] if i else None for i in node.input[1:]]
    pads = np.asarray(attributes["pads"] if "pads" in attributes else given[0]).astype(int).reshape(2, -1)
    value = given[1] if len(given) > 1 and given[1] is not None else np.asarray(attributes.get("value", 0.0))
    rank = len(network.shapes[node.input[0]])
    axes = np.asarray(given[2]).astype(int) % rank if len(given) > 2 and given[2] is not None else np.arange(rank)
    full = np.zeros((2, rank), int)
    full[:, axes] = pads
    if full[:, 0].any() or full.min() < 0:
        return f"pads by {pads.reshape(-1).tolist()}: only rows and columns can be added"
    return [(int(b), int(e)) for b, e in full[:, 1:].T], float(np.asarray(value).reshape(-1)[0])


def to_stream(values: Array, order: Integers) -> Array:
    """A tensor's values (n, ...) as the stream has them, (n, elements); padding is left out."""
    flat, place = values.reshape(len(values), -1), order.reshape(-1)
    result = np.empty((len(flat), int(place.max()) + 1), flat.dtype)
    result[:, place[place >= 0]] = flat[:, place >= 0]
    return result


def from_stream(values: Array, order: Integers) -> Array:
    """The inverse, for an order without padding: (n, *order.shape)."""
    return values.reshape(len(values), -1)[:, order.reshape(-1)].reshape(len(values), *order.shape)
