"""Follows the nodes behind one source of integers: on how many ways and how far a function of one integer for each channel goes.

A *span* starts at the input, at a linear operator, or where branches join, and has an end wherever something else takes a tensor of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import onnx

from arbonn.flows.lowering.constants import of_pixel
from arbonn.flows.lowering.layout import as_image, image_order, padding_of
from arbonn.flows.lowering.network import Array, Network
from arbonn.flows.lowering.operators import ELEMENTWISE, QUANTIZERS, SHAPE, SPATIAL
from arbonn.flows.lowering.region import Region, Spatial, picks_of
from arbonn.flows.lowering.window import window_of
from arbonn.hw.datatypes import Integers


@dataclass(frozen=True, eq=False)
class Place:
    """Where a tensor's elements stand: the frame of its stream without a border, their order on it, what was pooled or padded before."""

    frame: tuple[int, ...]
    order: Integers
    spatials: tuple[Spatial, ...] = ()

    @property
    def bordered(self) -> bool:
        """True behind a Pad that no unit has done yet."""
        return bool(self.order.min() < 0)

    def alike(self, other: Place) -> bool:
        """True when both tensors hold, element by element, functions of the same integers."""
        return self.spatials == other.spatials and np.array_equal(self.order, other.order)


@dataclass(frozen=True, eq=False)
class End:
    """One that takes a tensor of a span: input number `position` of a node; of no node: the network's output."""

    tensor: str
    node: str = ""
    position: int = 0


class Span:
    """The nodes behind tensor `start`; `add` says why a node does not lower."""

    def __init__(self, network: Network, start: str, frame: tuple[int, ...], order: Integers) -> None:
        self.network, self.start = network, start
        self.places = {start: Place(frame, order)}
        self.paths: dict[str, tuple[str, ...]] = {start: (start,)}  # the tensors that every way from the start to this one goes through
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[tuple[str, int], Array] = {}
        self.ends: list[End] = []

    def add(self, node: onnx.NodeProto) -> str:
        """Appends a node; says why it does not lower, if so."""
        self.nodes.append(node)
        given = [self.paths[i] for i in self.network.dynamic(node)]
        common = tuple(t for t in given[0] if all(t in path for path in given))
        self.paths |= {o: (*common, o) for o in node.output if o}
        if node.op_type in SHAPE:
            return self._shape(node)
        return self._spatial(node) if node.op_type in SPATIAL else self._elementwise(node)

    def moved(self, node: onnx.NodeProto, place: Place) -> None:
        """Appends a node that only puts the elements in another order."""
        self.nodes.append(node)
        self.paths[node.output[0]] = (*self.paths[node.input[0]], node.output[0])
        self.places[node.output[0]] = place

    def restart(self, node: onnx.NodeProto, frame: tuple[int, ...], order: Integers) -> None:
        """Goes on behind a node that does not lower, to find what else does not."""
        for output in node.output:
            self.places[output], self.paths[output] = Place(frame, order), (self.start, output)

    def between(self, begin: str, end: str) -> Region:
        """The region between two tensors, with only the nodes that it needs."""
        needed, kept = {end}, []
        for node in reversed(self.nodes):
            if needed & set(node.output) and begin not in node.output:
                needed.update(i for i in node.input if i not in self.places or begin in self.paths[i])
                kept.append(node)
        first, last = self.places[begin], self.places[end]
        orders = {name: place.order for name, place in self.places.items()}
        spatials = last.spatials[len(first.spatials) :]
        return Region(self.network, begin, end, tuple(kept[::-1]), first.frame, last.frame, orders, spatials, self.constants)

    def shared(self, ends: Sequence[End], begin: str) -> Iterator[str]:
        """The tensors that every way from `begin` to all the ends goes through, the last first; borders and what is no float left out."""
        first, *others = (self.paths[e.tensor] for e in ends)
        common = [t for t in first if all(t in path for path in others)]
        for tensor in common[: common.index(begin) : -1]:
            if not self.places[tensor].bordered and self.network.types[tensor] == np.float32:
                yield tensor

    def groups(self, ends: Sequence[End]) -> list[list[End]]:
        """The ends of each way behind the last tensor that all of them share."""
        first, *others = (self.paths[e.tensor] for e in ends)
        last = len([t for t in first if all(t in path for path in others)])  # all paths begin alike
        found: dict[object, list[End]] = {}
        for end in ends:
            path = self.paths[end.tensor]
            found.setdefault(path[last] if len(path) > last else end, []).append(end)
        return list(found.values())

    def _shape(self, node: onnx.NodeProto) -> str:
        before, after = self.network.shapes[node.input[0]], self.network.shapes[node.output[0]]
        perm = next((list(a.ints) for a in node.attribute if a.name == "perm"), [0] if node.op_type != "Transpose" else [-1])
        if len(after) < 2 or after[0] != before[0] or perm[0] != 0:
            return f"turns shape {before} into {after}: the batch must stay the first axis"
        place = self.places[node.input[0]]
        order = self.network.reshaped(node, place.order[None])[0]
        if picks_of(order, place.frame[-1]) is None:
            return f"mixes the channels of shape {before} with its rows and columns"
        self.places[node.output[0]] = Place(place.frame, order, place.spatials)
        return ""

    def _spatial(self, node: onnx.NodeProto) -> str:
        source, place = node.input[0], self.places[node.input[0]]
        if node.op_type == "Pad":
            return self._pad(node, place)
        order, axes = place.order, place.order.ndim - 1
        image = as_image(order, place.frame)
        if image is None:
            return f"works on shape {self.network.shapes[source]}: only (batch, channels, width) or (batch, channels, height, width) lowers"
        if len(node.output) > 1 and node.output[1]:
            return "gives the places of its maxima too"
        sizes = order.shape[1:]
        kernel = sizes if node.op_type == "GlobalMaxPool" else next(list(a.ints) for a in node.attribute if a.name == "kernel_shape")
        window = window_of(node, kernel, sizes, self.network.shapes[node.output[0]][2:])
        if isinstance(window, str):
            return window
        (h, w, channels), (top, left, bottom, right) = image.shape, image.border
        if window.empty((h + top + bottom, w + left + right)):
            return "has windows of nothing but padding"
        frame = (*window.output((h + top + bottom, w + left + right)), channels)
        pooled = Spatial(node.name, source, node.output[0], window, image.border)
        self.places[node.output[0]] = Place(frame, image_order(frame, image.channels, axes), (*place.spatials, pooled))
        return ""

    def _pad(self, node: onnx.NodeProto, place: Place) -> str:
        source, found = node.input[0], padding_of(self.network, node)
        if isinstance(found, str):
            return found
        pads, value = found
        if not any(chain(*pads)):
            self.places[node.output[0]] = place
            return ""
        padded = np.pad(place.order, pads, constant_values=-1)
        before, image = as_image(place.order, place.frame), as_image(padded, place.frame)
        if before is None or image is None:
            return f"pads shape {self.network.shapes[source]}: only rows and columns of (batch, channels, ...) can be added"
        sides = tuple(now - was for now, was in zip(image.border, before.border, strict=True))
        border = Spatial(node.name, source, node.output[0], padding=(sides[0], sides[1], sides[2], sides[3]), value=value)
        self.places[node.output[0]] = Place(place.frame, padded, (*place.spatials, border))
        return ""

    def _elementwise(self, node: onnx.NodeProto) -> str:
        network, dynamic = self.network, self.network.dynamic(node)
        shape = network.shapes[node.output[0]]
        if node.op_type not in ELEMENTWISE:
            return "does not lower"
        if any(network.shapes[i] != shape for i in dynamic):
            return f"turns shape {network.shapes[dynamic[0]]} into {shape}"
        place = self.places[dynamic[0]]
        if not all(place.alike(self.places[i]) for i in dynamic):
            return "joins two tensors whose elements are ordered differently"
        if node.op_type in (*QUANTIZERS, "BatchNormalization", "DequantizeLinear", "Clip") and dynamic != [node.input[0]]:
            return "has parameters that depend on the network's input"
        aligned = [network.constants[i].shape for i in node.input if i in network.constants and node.op_type != "MultiThreshold"]
        if any(len(s) == len(shape) and s[0] != 1 for s in aligned):
            return "has constants that differ within a batch"
        if node.op_type == "BatchNormalization" and any(a.name == "training_mode" and a.i for a in node.attribute):
            return "is in training mode"
        for k, name in enumerate(node.input):
            if name in network.constants and network.constants[name].size > 1:
                kept = of_pixel(node, network.constants[name], place.order, place.frame[-1])
                if kept is None:
                    return "has constants that differ within a channel"
                self.constants[node.name, k] = kept
        self.places[node.output[0]] = place
        return ""
