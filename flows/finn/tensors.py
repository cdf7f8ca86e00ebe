"""What holds a stream in FINN's dialect: its tensor, as a vector or an image, bipolar or as bits, and the windows that a unit takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from arbonn.flows.finn.file import EXACT, FinnFile
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph, Node, Stream
from arbonn.hw.units.dwc import DWC
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.swg import SWG
from arbonn.hw.units.thresholding import Thresholding
from arbonn.hw.units.vvau import VVAU

Border = tuple[int, int, int, int]


class UnfitError(Exception):
    """Why a unit cannot be expressed."""


class Tensor(NamedTuple):
    """A tensor that holds a stream; `bits`: 0 and 1 stand for -1 and +1."""

    name: str
    flat: bool
    bits: bool = False


@dataclass
class Windows:
    """Windows that the next unit takes: the SWG's, of stream `i`."""

    swg: SWG
    i: Stream


class Tensors:
    """The tensors of a graph's streams, and the nodes that bring them into the form that a unit takes."""

    def __init__(self, graph: DataflowGraph, batch: int) -> None:
        self.graph, self.file = graph, FinnFile(batch)
        self.tensors: dict[str, Tensor] = {}
        self.windows: dict[str, Windows] = {}

    def image(self, stream: Stream, where: str, *, bits: bool = False) -> str:
        """The tensor of a stream as (batch, C, H, W), bipolar values as they are unless `bits`."""
        tensor = self.form(stream, where, bits)
        if not tensor.flat:
            return tensor.name
        shape = (stream.shape[-1], 1, 1)
        to = self.file.constant(f"{where}_shape", np.array([self.file.batch, *shape], np.int64))
        return self.file.op("Reshape", f"{where}_image", [tensor.name, to], shape, stream.dtype.name)

    def flat(self, stream: Stream, where: str, *, bits: bool) -> str:
        """The tensor of a stream as (batch, elements)."""
        tensor = self.form(stream, where, bits)
        kind = "BINARY" if tensor.bits else stream.dtype.name
        return tensor.name if tensor.flat else self.file.op("Flatten", f"{where}_vector", [tensor.name], (stream.elements,), kind)

    def form(self, stream: Stream, where: str, bits: bool) -> Tensor:
        """The tensor of a stream with -1 and +1 as bits, or as they are."""
        tensor = self.tensors[stream.id]
        if tensor.bits == bits or stream.dtype.name != "BIPOLAR":
            return tensor
        shape, zero = self.file.shapes.get(tensor.name, ()), np.full((1, 1), 0 if bits else 1)
        return Tensor(self.multi_threshold(f"{where}_bits", tensor.name, zero, shape, 0, "BIPOLAR", bits), tensor.flat, bits)

    def give(self, stream: Stream, name: str, *, flat: bool, bits: bool = False) -> None:
        """Says which tensor holds a stream."""
        self.tensors[stream.id] = Tensor(name, flat, bits)

    def wants_bits(self, stream: Stream) -> bool:
        """True where the unit behind takes bits."""
        while stream.sink is not None:
            node = self.graph.node(stream.sink.node)
            if not isinstance(node, FIFO | DWC):
                return isinstance(node, MVAU) and self.is_xnor(node, stream)
            stream = self.graph.ports(node)["o"]
        return False

    def is_xnor(self, node: MVAU, i: Stream) -> bool:
        """True for a unit that FINN's own operator expresses."""
        one = i.id not in self.windows and i.elements == i.shape[-1]
        return one and i.dtype.name == "BIPOLAR" and node.weight_dtype.name == "BIPOLAR" and node.domain == "popcount"

    def shape(self, stream: Stream, flat: bool) -> tuple[int, ...]:
        """Of its tensor without the batch."""
        return stream.shape[-1:] if flat else (stream.shape[2], *stream.shape[:2])

    def bordered(self, node: Node, i: Stream, border: Border, value: int) -> str:
        """The image with a border around it."""
        image = self.image(i, node.id)
        if not any(border):
            return image
        (top, left, bottom, right), (h, w, c) = border, i.shape
        pads = self.file.constant(f"{node.id}_pads", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
        held = self.file.constant(f"{node.id}_border", np.array(value), "INT32")
        kind = "TERNARY" if i.dtype.name == "BIPOLAR" and value == 0 else i.dtype.name
        return self.file.op("Pad", f"{node.id}_pad", [image, pads, held], (c, h + top + bottom, w + left + right), kind, mode="constant")

    def window(self, node: Node, i: Stream, *, own: Callable[[SWG], bool]) -> tuple[str, dict[str, list[int]], Stream]:
        """(image, attributes, its stream) of the windows that a unit takes; where `own` says so the operator itself pads."""
        windows = self.windows.get(i.id)
        if windows is None:
            return self.image(i, node.id), {"kernel_shape": [1, 1], "strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1]}, i
        swg = windows.swg
        inside = own(swg)
        image = self.bordered(node, windows.i, (0, 0, 0, 0) if inside else swg.padding, swg.value)
        pads = swg.padding if inside else (0, 0, 0, 0)
        sizes = {"kernel_shape": swg.kernel, "strides": swg.stride, "pads": pads, "dilations": swg.dilation}
        return image, {key: list(value) for key, value in sizes.items()}, windows.i

    def _least(self, stream: Stream) -> int:
        """The least integer that a stream holds, as far as its unit says."""
        node = self.graph.node(stream.source.node) if stream.source is not None else None
        if isinstance(node, FIFO | DWC):
            return self._least(self.graph.ports(node)["i"])
        if isinstance(node, Lookup):
            return int(node.table.min())
        if isinstance(node, Thresholding | MVAU | VVAU) and node.thresholds is not None and stream.dtype.name != "BIPOLAR":
            return node.offset
        return stream.dtype.low

    def never_greatest(self, swg: SWG, windows: Stream) -> bool:
        """True where a border is no greater than any integer, as ONNX's own of a MaxPool is, which has to be narrower than the kernel."""
        narrow = max(swg.padding[::2]) < swg.kernel[0] and max(swg.padding[1::2]) < swg.kernel[1]
        return narrow and swg.value <= self._least(self.windows[windows.id].i)

    def multi_threshold(self, name: str, y: str, thresholds: Integers, shape: tuple[int, ...], offset: int, kind: str, bits: bool) -> str:
        """Appends a MultiThreshold that gives offset + count, or -1 and +1 for BIPOLAR; with `bits` the count itself."""
        if np.abs(thresholds).max() > EXACT:
            raise UnfitError(f"has thresholds beyond {EXACT}, which float32 does not hold")
        scale, bias = (2.0, -1.0) if kind == "BIPOLAR" and not bits else (1.0, float(offset))
        steps = self.file.constant(f"{name}_steps", thresholds, "INT32")
        kind = "BINARY" if bits else kind
        return self.file.op(
            "MultiThreshold", name, [y, steps], shape, kind, out_dtype=kind, out_scale=scale, out_bias=bias, data_layout="NCHW"
        )  # fmt: skip
