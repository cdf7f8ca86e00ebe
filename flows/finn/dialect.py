"""A lowered network in finn-base's own operators, integer for integer.

A tensor holds the integers of a stream, NCHW; where a XnorPopcountMatMul takes it, bits 0 and 1 in place of -1 and +1.

    MVAU on a vector          XnorPopcountMatMul where x and weights are BIPOLAR, else MatMul by integers
    SWG + MVAU, + VVAU        Conv, depth-wise for a VVAU; by Pad where the border is not 0
    thresholds, Thresholding  MultiThreshold, its thresholds in what the operator before gives
    Lookup                    MultiThreshold where all rows rise or fall; else Mul, Add and Round where these give its integers
    SWG + MaxPool, + AccPool  MaxPool; AveragePool, Mul and Round
    AddStreams, Concat        Add, Concat        Split, Shuffle  Slice, Gather
    DuplicateStreams, FIFO, DWC, LabelSelect     nothing

Everything else is refused, all of it in one error.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx

from arbonn.errors import LoweringError
from arbonn.files import replacing
from arbonn.flows.finn.file import EXACT
from arbonn.flows.finn.tables import Steps, fitted, reachable, steps_of
from arbonn.flows.finn.tensors import Tensor, Tensors, UnfitError, Windows
from arbonn.flows.lowering.logits import EXACT as LOGITS
from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph, Node, Stream
from arbonn.hw.units.acc_pool import AccPool
from arbonn.hw.units.add_streams import AddStreams
from arbonn.hw.units.concat import Concat
from arbonn.hw.units.duplicate_streams import DuplicateStreams
from arbonn.hw.units.dwc import DWC
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.fm_padding import FMPadding
from arbonn.hw.units.label_select import LabelSelect
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.max_pool import MaxPool
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.shuffle import Shuffle
from arbonn.hw.units.split import Split
from arbonn.hw.units.swg import SWG
from arbonn.hw.units.thresholding import Thresholding
from arbonn.hw.units.vvau import VVAU

FILE = "finn-base.onnx"


def emit(graph: DataflowGraph, path: Path) -> onnx.ModelProto:
    """Writes a graph, folded or not, as one file for single frames. Raises LoweringError that lists each unit which cannot be expressed."""
    model = finn_model(graph)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
    return model


def finn_model(graph: DataflowGraph, batch: int = 1) -> onnx.ModelProto:
    """The same as a model that takes `batch` frames (batch, C) or (batch, C, H, W) of input codes and gives logits (batch, C)."""
    return _Emitter(graph, batch).model()


class _Emitter(Tensors):
    """Follows the graph unit by unit."""

    def model(self) -> onnx.ModelProto:
        graph, problems = self.graph, list[str]()
        source = graph.inputs[0]
        if len(graph.inputs) > 1 or any(len(s.shape) == 2 for s in graph.streams):
            found = (
                f"{len(graph.inputs)} inputs ({', '.join(s.id for s in graph.inputs)})" if len(graph.inputs) > 1 else "streams of two axes"
            )
            raise LoweringError("finn-base", found=found, allowed="one input of codes, (C,) or (H, W, C)")
        shape = source.shape if len(source.shape) == 1 else (source.shape[2], *source.shape[:2])
        self.tensors[source.id] = Tensor(self.file.tensor("x", shape, source.dtype.name), len(source.shape) == 1)
        for node in graph.ordered():
            ports = graph.ports(node)
            try:
                self._unit(node, ports)
            except UnfitError as reason:
                problems.append(f"{node.id} ({node.kind}) {reason}")
                for port in node.gives:
                    self.tensors[ports[port].id] = Tensor("", len(ports[port].shape) == 1)
        if problems:
            raise LoweringError(
                "finn-base", found="; ".join(problems),
                allowed="units that are sums, thresholds, rising or falling tables, windows and poolings",
                fix="quantize by functions that rise or fall, and end in a layer with one scale",
            )  # fmt: skip
        select = next((n for n in graph.nodes if isinstance(n, LabelSelect)), None)
        last = graph.ports(select)["i"] if select is not None else graph.outputs[0]
        codes = graph.contract
        terms = InputContract(codes.dtype, low=codes.low, high=codes.high)
        metadata = {"arbonn.input": str(terms), "arbonn.codes": str(codes), LOGITS[0]: LOGITS[1]}
        return self.file.model("x", self.flat(last, "logits", bits=False), metadata)

    def _unit(self, node: Node, ports: dict[str, Stream]) -> None:
        """Appends what a unit computes. Raises UnfitError."""
        if isinstance(node, LabelSelect):
            return
        for port in node.takes:
            if ports[port].id in self.windows and not isinstance(node, FIFO | DWC | MVAU | VVAU | MaxPool | AccPool):
                raise UnfitError("takes windows")
        kinds: dict[type[Node], Callable[..., None]] = {
            SWG: self._swg, FMPadding: self._padding, MVAU: self._mvau, VVAU: self._vvau, Thresholding: self._thresholding,
            Lookup: self._lookup, MaxPool: self._max_pool, AccPool: self._acc_pool, AddStreams: self._add, Concat: self._concat,
            Split: self._split, Shuffle: self._shuffle, DuplicateStreams: self._same, FIFO: self._same, DWC: self._same,
        }  # fmt: skip
        if type(node) not in kinds:
            raise UnfitError("has no operator there")
        if not isinstance(node, SWG) and any(s.dtype.bits > EXACT.bit_length() for s in ports.values()):
            raise UnfitError(f"has integers beyond {EXACT}, which float32 does not hold")
        kinds[type(node)](node, ports)

    def _same(self, node: Node, ports: dict[str, Stream]) -> None:
        for port in node.gives:
            if ports["i"].id in self.windows:
                self.windows[ports[port].id] = self.windows[ports["i"].id]
            else:
                self.tensors[ports[port].id] = self.tensors[ports["i"].id]

    def _swg(self, node: SWG, ports: dict[str, Stream]) -> None:
        self.windows[ports["o"].id] = Windows(node, ports["i"])

    def _padding(self, node: FMPadding, ports: dict[str, Stream]) -> None:
        self.give(ports["o"], self.bordered(node, ports["i"], node.padding, node.value), flat=False)

    def _mvau(self, node: MVAU, ports: dict[str, Stream]) -> None:
        i, o = ports["i"], ports["o"]
        if self.is_xnor(node, i):
            weights = self.file.constant(f"{node.id}_weights", (node.weights.T + 1) // 2, "BINARY")
            x = self.flat(i, node.id, bits=True)
            y = self.file.op("XnorPopcountMatMul", node.id, [x, weights], (node.rows,), "UINT32")
            self._activated(node, y, o, node.thresholds, flat=True)
            return
        flat = i.id not in self.windows and i.elements == i.shape[-1]
        if flat:
            x = self.flat(i, node.id, bits=False)
            weights = self.file.constant(f"{node.id}_weights", node.weights.T, node.weight_dtype.name)
            y = self.file.op("MatMul", node.id, [x, weights], (node.rows,), "INT32")
        else:
            x, attributes, image = self.window(node, i, own=lambda swg: swg.value == 0)
            channels, (kh, kw) = image.shape[-1], attributes["kernel_shape"]
            group = self.windows[i.id].swg.group if i.id in self.windows and self.windows[i.id].swg.group else channels
            taps = node.weights.reshape(node.rows, channels // group, kh * kw, group).swapaxes(1, 2).reshape(node.rows, kh, kw, channels)
            weights = self.file.constant(f"{node.id}_weights", taps.transpose(0, 3, 1, 2), node.weight_dtype.name)
            y = self.file.op("Conv", node.id, [x, weights], self.shape(o, flat=False), "INT32", **attributes)
        self._from_dot(node, node, y, i, o, flat=flat)

    def _vvau(self, node: VVAU, ports: dict[str, Stream]) -> None:
        i, o = ports["i"], ports["o"]
        x, attributes, _ = self.window(node, i, own=lambda swg: swg.value == 0)
        weights = self.file.constant(f"{node.id}_weights", node.weights.reshape(-1, 1, *attributes["kernel_shape"]), node.weight_dtype.name)
        y = self.file.op("Conv", node.id, [x, weights], self.shape(o, flat=False), "INT32", group=o.shape[-1], **attributes)
        self._from_dot(node, node.rows, y, i, o, flat=False)

    def _from_dot(self, node: MVAU | VVAU, rows: MVAU, y: str, i: Stream, o: Stream, *, flat: bool) -> None:
        """Thresholds, or accumulators, behind an operator that gives dot products."""
        if node.thresholds is not None:
            self._activated(node, y, o, rows.to_dot(node.thresholds.T, i.dtype).T, flat=flat)
            return
        zero, one = (rows.from_dot(np.full(node.weights.shape[0], n), i.dtype) for n in (0, 2))  # acc = (dot + shift) / factor
        factor = 2 // int((one - zero)[0])
        shift = rows.to_dot(np.zeros(node.weights.shape[0], np.int64), i.dtype) * -1
        axes = (1,) if flat else (1, 1, 1)
        shape = self.shape(o, flat)
        if np.any(shift):
            each = np.broadcast_to(shift, (shape[0],)).reshape(-1, *axes[1:])
            y = self.file.op("Add", f"{node.id}_shift", [y, self.file.constant(f"{node.id}_raised", each, "INT32")], shape, "INT32")
        if factor != 1:
            y = self.file.op("Mul", f"{node.id}_half", [y, self.file.constant(f"{node.id}_halved", np.array(0.5))], shape, o.dtype.name)
        self.give(o, y, flat=flat)

    def _activated(self, node: MVAU | VVAU | Thresholding, y: str, o: Stream, thresholds: Integers | None, *, flat: bool) -> None:
        if thresholds is None:
            self.give(o, y, flat=flat)
            return
        bits = o.dtype.name == "BIPOLAR" and self.wants_bits(o)
        name = self.multi_threshold(f"{node.id}_thresholds", y, thresholds, self.shape(o, flat), node.offset, o.dtype.name, bits)
        self.give(o, name, flat=flat, bits=bits)

    def _thresholding(self, node: Thresholding, ports: dict[str, Stream]) -> None:
        tensor = self.form(ports["i"], node.id, bits=False)
        self._activated(node, tensor.name, ports["o"], node.thresholds, flat=tensor.flat)

    def _lookup(self, node: Lookup, ports: dict[str, Stream]) -> None:
        i, o = ports["i"], ports["o"]
        tensor = self.form(i, node.id, bits=False)
        shape = self.shape(o, tensor.flat)
        table, reached = reachable(self.graph, node, i)
        found = steps_of(table, node.low)
        if isinstance(found, Steps):
            if o.dtype.name == "BIPOLAR":
                signs, starts, halves = found.signs * 2, found.starts, found.thresholds[:, ::2]
                found = Steps(halves, signs, starts)
            self._stepped(node, tensor, o, found, shape)
            return
        line = fitted(table, reached, node.low)
        if line is None:
            raise UnfitError(found)
        gain, bias = (part.reshape(-1, *(1,) * (len(shape) - 1)) for part in line)
        y = self.file.op("Mul", f"{node.id}_gain", [tensor.name, self.file.constant(f"{node.id}_factor", gain)], shape, "FLOAT32")
        y = self.file.op("Add", f"{node.id}_bias", [y, self.file.constant(f"{node.id}_offset", bias)], shape, "FLOAT32")
        self.give(o, self.file.op("Round", node.id, [y], shape, o.dtype.name), flat=tensor.flat)

    def _stepped(self, node: Lookup, tensor: Tensor, o: Stream, found: Steps, shape: tuple[int, ...]) -> None:
        """A table as thresholds that count up, times what a step is worth in each channel, from the value at its beginning."""
        plain = (found.signs == 1).all() and (found.starts == found.starts[0]).all()
        start = int(found.starts[0]) if plain else 0
        kind = o.dtype.name if plain else "UINT32"
        y = self.multi_threshold(node.id, tensor.name, found.thresholds, shape, start, kind, bits=False)
        if not plain:
            signs, starts = (part.reshape(-1, *(1,) * (len(shape) - 1)) for part in (found.signs, found.starts))
            y = self.file.op("Mul", f"{node.id}_signs", [y, self.file.constant(f"{node.id}_worth", signs, "INT32")], shape, "INT32")
            y = self.file.op("Add", f"{node.id}_starts", [y, self.file.constant(f"{node.id}_first", starts, "INT32")], shape, o.dtype.name)
        self.give(o, y, flat=tensor.flat)

    def _max_pool(self, node: MaxPool, ports: dict[str, Stream]) -> None:
        i, o = ports["i"], ports["o"]
        if node.taps == 1 and len(o.shape) == 1:  # the end of an image of one pixel
            self.give(o, self.flat(i, node.id, bits=False), flat=True)
            return
        x, attributes, image = self.window(node, i, own=lambda swg: self.never_greatest(swg, i))
        if i.id not in self.windows:
            attributes |= {"kernel_shape": [1, 1] if node.taps == 1 else list(image.shape[:2])}
        shape = (o.shape[-1], *(o.shape[:2] if len(o.shape) == 3 else (1, 1)))
        self.give(o, self.file.op("MaxPool", node.id, [x], shape, o.dtype.name, **attributes), flat=False)

    def _acc_pool(self, node: AccPool, ports: dict[str, Stream]) -> None:
        i, o = ports["i"], ports["o"]
        x, attributes, image = self.window(node, i, own=lambda swg: False)
        if i.id not in self.windows:
            attributes |= {"kernel_shape": [1, 1] if node.taps == 1 else list(image.shape[:2])}
        if attributes.pop("dilations") != [1, 1]:
            raise UnfitError("sums windows with gaps")
        shape = (o.shape[-1], *(o.shape[:2] if len(o.shape) == 3 else (1, 1)))
        y = self.file.op("AveragePool", node.id, [x], shape, "FLOAT32", **attributes)
        taps = self.file.constant(f"{node.id}_taps", np.array(float(node.taps)))
        y = self.file.op("Mul", f"{node.id}_sum", [y, taps], shape, "FLOAT32")
        self.give(o, self.file.op("Round", f"{node.id}_round", [y], shape, o.dtype.name), flat=False)

    def _add(self, node: AddStreams, ports: dict[str, Stream]) -> None:
        o, flat = ports["o"], len(ports["o"].shape) == 1
        y = self._joined(node, ports, node.takes[0])
        for k, port in enumerate(node.takes[1:], 1):
            kind = o.dtype.name if k == len(node.takes) - 1 else "INT32"
            y = self.file.op("Add", f"{node.id}_{k}", [y, self._joined(node, ports, port)], self.shape(o, flat), kind)
        self.give(o, y, flat=flat)

    def _concat(self, node: Concat, ports: dict[str, Stream]) -> None:
        o, flat = ports["o"], len(ports["o"].shape) == 1
        inputs = [self._joined(node, ports, port) for port in node.takes]
        self.give(o, self.file.op("Concat", node.id, inputs, self.shape(o, flat), o.dtype.name, axis=1), flat=flat)

    def _split(self, node: Split, ports: dict[str, Stream]) -> None:
        tensor, first = self.form(ports["i"], node.id, bits=False), 0
        for port in node.gives:
            o = ports[port]
            limits = [
                self.file.constant(f"{node.id}_{port}_{k}", np.array([n], np.int64)) for k, n in enumerate((first, first + o.shape[-1], 1))
            ]
            name = self.file.op("Slice", f"{node.id}_{port}", [tensor.name, *limits], self.shape(o, tensor.flat), o.dtype.name)
            self.give(o, name, flat=tensor.flat)
            first += o.shape[-1]

    def _shuffle(self, node: Shuffle, ports: dict[str, Stream]) -> None:
        tensor, o = self.form(ports["i"], node.id, bits=False), ports["o"]
        order = self.file.constant(f"{node.id}_order", np.asarray(node.order, np.int64))
        name = self.file.op("Gather", node.id, [tensor.name, order], self.shape(o, tensor.flat), o.dtype.name, axis=1)
        self.give(o, name, flat=tensor.flat)

    def _joined(self, node: Node, ports: dict[str, Stream], port: str) -> str:
        where = f"{node.id}_{port}"
        return self.flat(ports[port], where, bits=False) if len(ports[port].shape) == 1 else self.image(ports[port], where)
