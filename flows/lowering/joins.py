"""Where branches meet or part: sums and concatenations of several tensors, selections of a tensor's channels; in places, not in values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from arbonn.flows.lowering.layout import as_image, image_order
from arbonn.flows.lowering.network import Array, Network, run_node
from arbonn.flows.lowering.operators import ADDS, CONCATS, SELECTS
from arbonn.flows.lowering.region import picks_of
from arbonn.flows.lowering.spans import Place
from arbonn.hw.datatypes import Integers

Border = tuple[int, int, int, int]
NONE: Border = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Sum:
    """sum of signs[k] * inputs[k]. Each input gets its border by a unit of its own, then its channels in the order shuffles[k]."""

    node: str
    inputs: tuple[str, ...]
    signs: tuple[int, ...]
    borders: tuple[Border, ...]
    shuffles: tuple[Integers | None, ...]
    place: Place


@dataclass(frozen=True, eq=False)
class Concatenation:
    """The channels of all inputs, in their order."""

    node: str
    inputs: tuple[str, ...]
    borders: tuple[Border, ...]
    place: Place


@dataclass(frozen=True, eq=False)
class Selection:
    """Output `position` of a node that takes some of a stream's channels, `channels` (rising)."""

    node: str
    position: int
    source: str
    border: Border
    channels: Integers
    place: Place


def landed(place: Place) -> tuple[Place, Border] | None:
    """A tensor's place once its border is on its stream, and that border; None for padding that is no border of an image."""
    if not place.bordered:
        return place, NONE
    image = as_image(place.order, place.frame)
    if image is None:
        return None
    (h, w, channels), (top, left, bottom, right) = image.shape, image.border
    frame = (h + top + bottom, w + left + right, channels)
    return Place(frame, image_order(frame, image.channels, place.order.ndim - 1)), image.border


def sum_of(network: Network, node: onnx.NodeProto, places: Sequence[Place]) -> Sum | str:
    """An Add, Sub or Sum of tensors at these places, or why it does not lower."""
    shape = network.shapes[node.output[0]]
    if len(places) < len(node.input):
        return "adds a constant to a sum of branches"
    if len(places) > 16:
        return f"adds more branches than 16: {len(places)}"
    if any(network.shapes[i] != shape for i in node.input):
        return f"joins shapes {' and '.join(str(network.shapes[i]) for i in node.input)}: only equal ones can be"
    found = [landed(place) for place in places]
    if any(f is None for f in found):
        return "takes in the values of a Pad"
    first, *others = [f[0] for f in found if f is not None]
    shuffles: list[Integers | None] = [None]
    for other in others:
        if other.frame != first.frame:
            return f"joins streams of {first.frame} and {other.frame} in one shape"
        shuffle = _shuffle(other.order, first.order, first.frame[-1])
        if shuffle is None:
            return "joins two tensors whose elements are ordered differently"
        shuffles.append(None if np.array_equal(shuffle, np.arange(len(shuffle))) else shuffle)
    signs = (1, -1) if node.op_type == "Sub" else (1,) * len(places)
    borders = tuple(f[1] for f in found if f is not None)
    return Sum(node.name, tuple(node.input), signs, borders, tuple(shuffles), Place(first.frame, first.order))


def _shuffle(given: Integers, wanted: Integers, channels: int) -> Integers | None:
    """`order` with wanted channel c = given channel order[c], the same for all pixels; None if there is none."""
    pixels = np.array_equal(given // channels, wanted // channels)
    order = np.empty(channels, np.int64)
    order[wanted.reshape(-1) % channels] = given.reshape(-1) % channels
    return order if pixels and np.array_equal(order[wanted % channels], given % channels) else None


def concatenation_of(network: Network, node: onnx.NodeProto, places: Sequence[Place]) -> Concatenation | str:
    """A Concat of tensors at these places, or why it does not lower."""
    if len(places) < len(node.input):
        return "puts constants beside a branch"
    if len(places) > 16:
        return f"puts {len(places)} branches side by side: at most 16 can be"
    found = [landed(place) for place in places]
    if any(f is None for f in found):
        return "takes in the values of a Pad"
    inside = [f[0] for f in found if f is not None]
    frame, total, start, parts = inside[0].frame, sum(p.frame[-1] for p in inside), 0, []
    axis = next(a.i for a in node.attribute if a.name == "axis") % len(network.shapes[node.output[0]]) - 1
    for place in inside:
        if place.frame[:-1] != frame[:-1]:
            return f"joins streams of {frame} and {place.frame}: their rows and columns differ"
        pixels, channels = np.divmod(place.order, place.frame[-1])
        parts.append(pixels * total + start + channels)
        start += place.frame[-1]
    if axis < 0:
        return "joins along the batch"
    order = np.concatenate(parts, axis)
    if picks_of(order, total) is None:
        return "joins rows or columns, not channels"
    borders = tuple(f[1] for f in found if f is not None)
    return Concatenation(node.name, tuple(node.input), borders, Place((*frame[:-1], total), order))


def selections_of(network: Network, node: onnx.NodeProto, place: Place) -> list[Selection] | Place | str:
    """What a Split, Slice or Gather takes, an entry an output in use; a Place where that is every channel; or why it does not lower."""
    if network.dynamic(node) != [node.input[0]]:
        return "has parameters that depend on the network's input"
    inside = landed(place)
    if inside is None:
        return "takes in the values of a Pad"
    (frame, order), border, channels = (inside[0].frame, inside[0].order), inside[1], inside[0].frame[-1]
    given: dict[str, Array] = {node.input[0]: order[None], **{i: network.constants[i] for i in node.input[1:] if i}}
    taken = run_node(node, given, network.opset, network.ir_version)
    result = []
    for position, name in enumerate(node.output):
        if name not in network.shapes:
            continue
        if taken[name].shape != (1, *network.shapes[name][1:]):
            return "takes part of the batch"
        part = taken[name][0]
        kept, inverse = np.unique(part % channels, return_inverse=True)
        if part.size * channels != order.size * len(kept) or len(np.unique(part)) != part.size:
            return f"turns shape {network.shapes[node.input[0]]} into {network.shapes[name]}: only channels can be taken, each of them once"
        moved = part // channels * len(kept) + inverse.reshape(part.shape)
        if picks_of(moved, len(kept)) is None:
            return f"mixes the channels of shape {network.shapes[node.input[0]]} with its rows and columns"
        if len(kept) == channels and border == NONE:
            return Place(frame, moved, place.spatials)
        result.append(Selection(node.name, position, node.input[0], border, kept, Place((*frame[:-1], len(kept)), moved)))
    return result


__all__ = ["ADDS", "CONCATS", "SELECTS", "Border", "Concatenation", "Selection", "Sum", "concatenation_of", "selections_of", "sum_of"]
