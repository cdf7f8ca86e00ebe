"""A float network ready to be evaluated: its nodes that depend on the input, everything else folded to constants.

Nodes run one at a time with the operators the exporter used: ONNX Runtime's, and qonnx's own for its custom operators.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp

from arbonn.flows.lowering.operators import QONNX_DOMAIN, SHAPE

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Network:
    """One input, one output, feed-forward.

    nodes      those whose outputs depend on the input's values, in order; every one has a name of its own.
    constants  all other tensors that they read.      shapes, types  of the tensors that depend on the input, batch first.
    """

    name: str
    nodes: tuple[onnx.NodeProto, ...]
    constants: Mapping[str, Array]
    shapes: Mapping[str, tuple[int, ...]]
    types: Mapping[str, np.dtype[Any]]
    input: str
    output: str
    opset: int
    ir_version: int
    metadata: Mapping[str, str]
    annotation: str | None = None

    @property
    def batch(self) -> int:
        """The batch size that `shapes` were found with."""
        return self.shapes[self.input][0]

    def elements(self, tensor: str) -> int:
        """Elements of one sample of a tensor."""
        return int(np.prod(self.shapes[tensor][1:]))

    def dynamic(self, node: onnx.NodeProto) -> list[str]:
        """Those inputs of a node that depend on the network's input."""
        return [name for name in node.input if name in self.shapes]

    def evaluate(self, nodes: Iterable[onnx.NodeProto], start: str, values: Array) -> dict[str, Array]:
        """Runs `nodes` on values (batch, ...) of tensor `start`, for any batch size; all tensors by name."""
        tensors: dict[str, Array] = {start: values.reshape(-1, *self.shapes[start][1:])}
        for node in nodes:
            if node.op_type in SHAPE:
                tensors[node.output[0]] = self.reshaped(node, tensors[node.input[0]])
            else:
                inputs = {name: tensors[name] if name in tensors else self.constants[name] for name in node.input if name}
                tensors.update(run_node(node, inputs, self.opset, self.ir_version))
        return tensors

    def reshaped(self, node: onnx.NodeProto, values: Array) -> Array:
        """What a shape operator makes of values (batch, ...), for any batch size: a Reshape's constant may hold the file's own."""
        if node.op_type == "Transpose":
            perm = next((list(a.ints) for a in node.attribute if a.name == "perm"), list(range(values.ndim))[::-1])
            return values.transpose(perm)
        return values.reshape(-1, *self.shapes[node.output[0]][1:])

    def execute(self, values: Array) -> dict[str, Array]:
        """QONNX's own execution of the network on values (samples, ...): every tensor that depends on the input, by name."""
        samples = len(values)
        graph = onnx.helper.make_graph(
            [_at_batch(node, samples, self.shapes) for node in self.nodes],
            "network",
            [self._info(self.input, samples)],
            [self._info(self.output, samples)],
            [onnx.numpy_helper.from_array(array, name) for name, array in self.constants.items()]
            + [onnx.numpy_helper.from_array(np.array([samples, *shape[1:]]), f"{name} shape") for name, shape in self.shapes.items()],
            value_info=[self._info(name, samples) for name in self.shapes if name not in (self.input, self.output)],
        )
        opsets = _opsets(self.opset, max(map(_custom_version, self.nodes), default=1))
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=self.ir_version)
        shape = (samples, *self.shapes[self.input][1:])
        tensors = execute_onnx(ModelWrapper(model), {self.input: values.astype(np.float32).reshape(shape)}, return_full_exec_context=True)
        return {name: tensors[name] for name in self.shapes}

    def _info(self, name: str, samples: int) -> onnx.ValueInfoProto:
        kind = onnx.helper.np_dtype_to_tensor_dtype(self.types[name])
        return onnx.helper.make_tensor_value_info(name, kind, (samples, *self.shapes[name][1:]))


def _at_batch(node: onnx.NodeProto, samples: int, shapes: Mapping[str, tuple[int, ...]]) -> onnx.NodeProto:
    """The node itself, but for a Reshape, which gets a shape with this batch size."""
    if node.op_type != "Reshape":
        return node
    return onnx.helper.make_node("Reshape", [node.input[0], f"{node.output[0]} shape"], node.output, node.name)


def run_node(node: onnx.NodeProto, inputs: Mapping[str, Array], opset: int, ir_version: int) -> dict[str, Array]:
    """Outputs of one node by name."""
    if node.domain == QONNX_DOMAIN:
        context = dict(inputs)
        getCustomOp(node, onnx_opset_version=_custom_version(node)).execute_node(context, None)
        return {name: np.asarray(context[name]) for name in node.output if name}
    kinds = tuple((name, onnx.helper.np_dtype_to_tensor_dtype(inputs[name].dtype)) for name in dict.fromkeys(node.input) if name)
    session = _session(node.SerializeToString(deterministic=True), kinds, opset, ir_version)
    names = [name for name in node.output if name]
    return dict(zip(names, session.run(names, {name: inputs[name] for name, _ in kinds}), strict=True))


@lru_cache(maxsize=4096)
def _session(node: bytes, kinds: tuple[tuple[str, int], ...], opset: int, ir_version: int) -> onnxruntime.InferenceSession:
    proto = onnx.NodeProto.FromString(node)
    graph = onnx.helper.make_graph(
        [proto],
        "node",
        [onnx.helper.make_tensor_value_info(name, kind, None) for name, kind in kinds],
        [onnx.helper.make_empty_tensor_value_info(name) for name in proto.output if name],
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # single nodes: threads cost more than they bring
    options.log_severity_level = 4
    model = onnx.helper.make_model(graph, opset_imports=_opsets(opset), ir_version=ir_version)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0)


def _custom_version(node: onnx.NodeProto) -> int:
    """The version of QONNX's operators that a node is written for; files do not always state it. Trunc has a scale more since 2."""
    return 2 if node.op_type == "Trunc" and len(node.input) == 6 else 1


def _opsets(version: int, custom: int = 1) -> list[onnx.OperatorSetIdProto]:
    return [onnx.helper.make_opsetid("", version), onnx.helper.make_opsetid(QONNX_DOMAIN, custom)]
