"""An ONNX file as finn-base reads it: operators of its own domain, static shapes and a `finn_datatype` for every tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

DOMAIN = "finn.custom_op.general"
OWN = ("MultiThreshold", "XnorPopcountMatMul")
OPSET, IR = 11, 7  # of 2021, when finn-base was last released
EXACT = 1 << 24  # integers up to here are float32 numbers


class FinnFile:
    """Nodes in order; `shapes` without the batch."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.types: dict[str, str] = {}

    def constant(self, name: str, value: NDArray[Any], kind: str = "") -> str:
        """A constant of the nodes' file, in float32 unless it has another type of its own: a shape or pads."""
        array = value if value.dtype == np.int64 and not kind else value.astype(np.float32)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        if kind:
            self.types[name] = kind
        return name

    def op(self, op: str, name: str, inputs: list[str], shape: tuple[int, ...], kind: str, **attributes: Any) -> str:
        """Appends a node and returns its output, a tensor (batch, *shape) of a QONNX type."""
        output = f"{name}_out"
        self.nodes.append(helper.make_node(op, inputs, [output], name, domain=DOMAIN if op in OWN else "", **attributes))
        return self.tensor(output, shape, kind)

    def tensor(self, name: str, shape: tuple[int, ...], kind: str) -> str:
        self.shapes[name], self.types[name] = shape, kind
        return name

    def model(self, source: str, output: str, metadata: dict[str, str]) -> onnx.ModelProto:
        """The file; the input and output are tensors by name."""
        infos = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, (self.batch, *shape)) for name, shape in self.shapes.items()}
        # finn-base wants to know the shape of constants too.
        held = [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in self.constants]
        between = [info for name, info in infos.items() if name not in (source, output)]
        graph = helper.make_graph(self.nodes, "arbonn", [infos[source]], [infos[output]], self.constants, value_info=[*between, *held])
        for name, kind in self.types.items():
            entry = graph.quantization_annotation.add(tensor_name=name)
            entry.quant_parameter_tensor_names.add(key="finn_datatype", value=kind)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="arbonn")
        helper.set_model_props(model, metadata)
        return model
