"""Shapes of what is not run: nodes that do not lower, and nodes that would ask for more memory than a network may have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

import numpy as np
import onnx

from arbonn.errors import Problem
from arbonn.flows.lowering.network import Array

LARGEST = 1 << 26  # elements of a tensor: every one is evaluated once, on zeros
GROWING = ("ConstantOfShape", "Expand", "Pad", "Range", "Tile")  # some bytes of a file may ask these for any amount of memory
Shapes = dict[str, tuple[int, ...]]


def refuse_large(node: onnx.NodeProto, inputs: Mapping[str, Array], opset: int) -> None:
    """Raises MemoryError for a node that would give more than a network may have."""
    for shape in _inferred(node, inputs, [onnx.helper.make_opsetid("", opset)], 1).values():
        if prod(shape) > LARGEST:
            raise MemoryError(f"it gives {prod(shape)} elements, {LARGEST} are allowed")


class StandIns:
    """Zeros for what nodes give that do not lower or do not run; `names` of the first kind, `told` is what is said of all."""

    def __init__(self, model: onnx.ModelProto, batch: int, names: set[str], told: list[Problem]) -> None:
        self.names, self.told, self.opsets = names, told, list(model.opset_import)
        self.shapes = _shapes((*model.graph.value_info, *model.graph.output), batch)
        self.batch = batch

    def of(self, node: onnx.NodeProto, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Its outputs of known shape: as the file says, or as ONNX infers it."""
        shapes = _inferred(node, inputs, self.opsets, self.batch) | self.shapes
        return {name: np.zeros(shapes[name], np.float32) for name in node.output if name in shapes and prod(shapes[name]) <= LARGEST}


def _inferred(node: onnx.NodeProto, inputs: Mapping[str, Array], opsets: Iterable[onnx.OperatorSetIdProto], batch: int) -> Shapes:
    """The shapes that ONNX infers for a node's outputs."""
    small = {k: v for k, v in inputs.items() if v.dtype == np.int64 and v.ndim < 2}  # shapes and axes, whose values decide
    given = [
        onnx.helper.make_tensor_value_info(k, onnx.helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
        for k, v in inputs.items()
        if k not in small
    ]
    graph = onnx.helper.make_graph([node], "node", given, [onnx.helper.make_empty_tensor_value_info(o) for o in node.output if o])
    graph.initializer.extend(onnx.numpy_helper.from_array(v, k) for k, v in small.items())
    try:
        inferred = onnx.shape_inference.infer_shapes(onnx.helper.make_model(graph, opset_imports=list(opsets)), data_prop=True).graph
    except Exception:  # of what does not fit its operator it raises nearly anything
        return {}
    return _shapes(inferred.output, batch)


def _shapes(infos: Iterable[onnx.ValueInfoProto], batch: int) -> Shapes:
    """The shapes that are stated in full but for the batch."""
    found = {}
    for info in infos:
        dims = [d.dim_value for d in info.type.tensor_type.shape.dim]
        if dims and all(d > 0 for d in dims[1:]):
            found[info.name] = (dims[0] or batch, *dims[1:])
    return found
