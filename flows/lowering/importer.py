"""Reads a QONNX file into a `Network`, whatever exporter wrote it; everything that cannot be read ends as one error.

What depends on no input value is folded: weight quantizers, shapes computed at run time, constants in nodes.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from math import prod
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto

from arbonn.errors import InputError, LoweringError, Problem
from arbonn.flows.lowering.inferred import GROWING, LARGEST, StandIns, refuse_large
from arbonn.flows.lowering.network import Array, Network, run_node
from arbonn.flows.lowering.operators import OLD_DOMAINS, OPERATORS, QONNX_DOMAIN
from arbonn.flows.lowering.parameters import wrong_parameter
from arbonn.flows.lowering.problems import advice, problem, why_unknown, with_problems
from arbonn.flows.lowering.xnor import written_out

OPSETS = range(7, onnx.defs.onnx_opset_version() + 1)  # ONNX Runtime runs no older operators
NUMBERS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE, *(
    getattr(TensorProto, f"{sign}INT{bits}") for bits in (8, 16, 32, 64) for sign in ("", "U")
))  # fmt: skip
FILE_FIX = "export the network again: `arbonn train` or brevitas.export.export_qonnx"


def read_network(path: Path) -> Network:
    """The network in a file. Raises InputError for a file that is none, LoweringError for a network that cannot lower."""
    return import_model(read_model(path), path.name)


def read_model(path: Path) -> onnx.ModelProto:
    """The ONNX model in a file. Raises InputError when there is none."""
    if not path.is_file():
        raise InputError(str(path), found="no such file" if not path.exists() else "not a file", allowed="a QONNX file (.onnx)")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(str(path), found=f"a file that cannot be read ({error.strerror})", allowed="a QONNX file (.onnx)") from None
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        model = onnx.ModelProto()
    # Many byte strings decode to some message with no graph in it (an empty or truncated file, for one), or with names that are no text.
    if not model.ir_version or not model.graph.node or not _is_text(model):
        found = f"{len(data)} bytes that hold no whole ONNX model"
        raise InputError(str(path), found=found, allowed="a QONNX file (.onnx)", fix=FILE_FIX)
    return model


def _is_text(model: onnx.ModelProto) -> bool:
    """True when all names are UTF-8: protobuf raises on one that is not, or gives bytes."""
    graph = model.graph
    try:
        names = [name for n in graph.node for name in (n.name, n.op_type, n.domain, *n.input, *n.output, *(a.name for a in n.attribute))]
        names += [v.name for v in (*graph.input, *graph.output, *graph.initializer)]
        names += [d.dim_param for i in graph.input for d in i.type.tensor_type.shape.dim]
        names += [text for p in model.metadata_props for text in (p.key, p.value)] + [o.domain for o in model.opset_import]
        names += [t for q in graph.quantization_annotation for p in q.quant_parameter_tensor_names for t in (q.tensor_name, p.key, p.value)]
    except UnicodeDecodeError:
        return False
    return all(isinstance(name, str) for name in names)


def import_model(model: onnx.ModelProto, name: str, tolerated: list[Problem] | None = None) -> Network:
    """The network in a model; `name` stands for it in messages.

    With `tolerated`, nodes that do not lower or do not run are told there. Such a node stays in the network with zeros of the shape that
    ONNX infers for it; where there is none, the network ends before it.
    """
    model = copy.deepcopy(model)
    opset = _opset(model, name)
    nodes = _named(model.graph.node)
    constants: dict[str, Array] = {}
    for tensor in model.graph.initializer:
        try:
            constants[tensor.name] = onnx.numpy_helper.to_array(tensor)
        except Exception as error:  # a damaged tensor raises nearly anything
            raise InputError(name, found=f"tensor {tensor.name!r} that cannot be read ({error})", fix=FILE_FIX) from None
    nodes = list(written_out(nodes, constants))
    source, shape = _input(model, constants, name)
    if len(model.graph.output) != 1:
        found = f"{len(model.graph.output)} outputs ({', '.join(o.name for o in model.graph.output)})"
        raise LoweringError(name, found=found, allowed="networks with one output: the logits")
    output = model.graph.output[0].name
    order = _ordered(nodes, {source, *constants}, name)
    live = _live(order, output)
    unknown = unknown_nodes(_dependent(live, source))
    if unknown and tolerated is None:
        raise refused(unknown, name)
    if tolerated is not None:
        tolerated += [problem(node, why_unknown(node.op_type)) for node in unknown]
        stand_ins = StandIns(model, shape[0], {n.name for n in unknown}, tolerated)
    kept, tensors = _fold(live, source, shape, constants, opset, model.ir_version, stand_ins if tolerated is not None else None)
    if tolerated and output not in tensors:
        output = list(tensors)[-1]
    if output not in tensors:
        raise LoweringError(
            name, found=f"output {output!r} does not depend on input {source!r}", allowed="a network from its input to its output"
        )
    used = {i for node in kept for i in node.input}
    return Network(
        name=name,
        nodes=tuple(kept),
        constants={k: v for k, v in constants.items() if k in used},
        shapes={k: v.shape for k, v in tensors.items()},
        types={k: v.dtype for k, v in tensors.items()},
        input=source,
        output=output,
        opset=opset,
        ir_version=max(model.ir_version, 4),  # before 4 every initializer had to be an input too
        metadata={p.key: p.value for p in model.metadata_props},
        annotation=_annotation(model, source),
    )


def unknown_nodes(nodes: Iterable[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The nodes whose operator does not lower."""
    return [n for n in nodes if n.op_type not in OPERATORS or n.domain not in ("", "ai.onnx", QONNX_DOMAIN)]


def refused(unknown: Sequence[onnx.NodeProto], name: str) -> LoweringError:
    """One error for all nodes whose operator does not lower, to be raised before any of them runs."""
    listed = ", ".join(
        f"{n.name} ({n.op_type if n.domain in ('', 'ai.onnx', QONNX_DOMAIN) else f'{n.domain}.{n.op_type}'})" for n in unknown
    )
    error = LoweringError(
        name,
        found=f"{len(unknown)} node{'s' * (len(unknown) > 1)} that do{'es' * (len(unknown) == 1)} not lower: {listed}",
        allowed=", ".join(OPERATORS),
        fix="export the network without them, or replace them by allowed operators",
    )
    return with_problems(error, [(node, why_unknown(node.op_type)) for node in unknown])


def _opset(model: onnx.ModelProto, name: str) -> int:
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    if not versions or versions[0] not in OPSETS:
        found = f"ONNX operator set {versions[0]}" if versions else "no ONNX operator set"
        raise LoweringError(name, found=found, allowed=f"{OPSETS[0]} to {OPSETS[-1]}", fix="export with opset_version=13")
    return int(versions[0])


def _named(nodes: Iterable[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Copies with today's operator domain and a name of their own: the file's, else operator and number."""
    result, seen = [], set()
    for k, node in enumerate(nodes):
        if node.domain in OLD_DOMAINS:
            node.domain = QONNX_DOMAIN
        name = node.name or f"{node.op_type}_{k}"
        node.name = name if name not in seen else f"{name}_{k}"
        seen.add(node.name)
        result.append(node)
    return result


def _input(model: onnx.ModelProto, constants: dict[str, Array], name: str) -> tuple[str, tuple[int, ...]]:
    """The one input that is no initializer, and its shape with a free batch size set to 1."""
    inputs = [i for i in model.graph.input if i.name not in constants]
    if len(inputs) != 1:
        found = "no inputs" if not inputs else f"{len(inputs)} inputs ({', '.join(i.name for i in inputs)})"
        raise LoweringError(name, found=found, allowed="networks with one input")
    kind = inputs[0].type.tensor_type.elem_type
    if kind not in NUMBERS:
        known = TensorProto.DataType.values()
        raise LoweringError(
            f"{name} input {inputs[0].name!r}", found=f"type {TensorProto.DataType.Name(kind) if kind in known else kind}",
            allowed="floating-point and integer types", fix="export with a float input",
        )  # fmt: skip
    dims = inputs[0].type.tensor_type.shape.dim
    shape = [d.dim_value for d in dims]
    if len(shape) < 2 or any(d < 1 for d in shape[1:]):
        text = ", ".join(str(d.dim_value) if d.dim_value else d.dim_param or "?" for d in dims)
        raise LoweringError(
            f"{name} input {inputs[0].name!r}", found=f"shape ({text})", allowed="(batch, ...) with all sizes but the batch known"
        )
    full = (max(shape[0], 1), *shape[1:])
    if prod(full) > LARGEST:
        found = f"shape ({', '.join(map(str, full))}): {prod(full)} elements"
        raise LoweringError(
            f"{name} input {inputs[0].name!r}", found=found, allowed=f"at most {LARGEST} elements", fix="export for one frame"
        )
    return inputs[0].name, full


def _annotation(model: onnx.ModelProto, tensor: str) -> str | None:
    """QONNX's own type of a tensor, when it is an integer type."""
    for entry in model.graph.quantization_annotation:
        if entry.tensor_name == tensor:
            for pair in entry.quant_parameter_tensor_names:
                if pair.key == "finn_datatype" and re.fullmatch(r"BIPOLAR|BINARY|TERNARY|U?INT([1-9]|1[0-6])", pair.value):
                    return str(pair.value)
    return None


def _ordered(nodes: Sequence[onnx.NodeProto], known: set[str], name: str) -> list[onnx.NodeProto]:
    """Producers before consumers; some exporters do not keep that."""
    known, waiting, result = set(known), list(nodes), []
    while waiting:
        ready = [n for n in waiting if all(not i or i in known for i in n.input)]
        if not ready:
            missing = sorted({i for n in waiting for i in n.input if i and i not in known} - {o for n in waiting for o in n.output})
            raise InputError(name, found=f"tensors that nothing gives: {', '.join(missing) or 'a cycle'}", fix=FILE_FIX)
        result += ready
        known.update(o for n in ready for o in n.output)
        waiting = [n for n in waiting if n not in ready]
    return result


def _live(order: Sequence[onnx.NodeProto], output: str) -> list[onnx.NodeProto]:
    """The nodes that the output needs."""
    needed, result = {output}, []
    for node in reversed(order):
        if needed & set(node.output):
            needed.update(node.input)
            result.append(node)
    return result[::-1]


def _dependent(nodes: Sequence[onnx.NodeProto], source: str) -> list[onnx.NodeProto]:
    """The nodes that depend on the values of `source`: by a path with no Shape node on it."""
    reached, result = {source}, []
    for node in nodes:
        if node.op_type != "Shape" and reached & set(node.input):
            reached.update(node.output)
            result.append(node)
    return result


def _fold(
    nodes: Sequence[onnx.NodeProto],
    source: str,
    shape: tuple[int, ...],
    constants: dict[str, Array],
    opset: int,
    ir_version: int,
    stand_ins: StandIns | None,
) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    """Runs every node once, on zeros, and keeps the constants. Returns the nodes that depend on the input's values, and what they gave."""
    dynamic: dict[str, Array] = {source: np.zeros(shape, np.float32)}
    kept = []
    for node in nodes:
        if stand_ins is not None and any(i and i not in dynamic and i not in constants for i in node.input):
            continue  # behind a node of a shape that nobody knows
        inputs = {i: dynamic[i] if i in dynamic else constants[i] for i in node.input if i}
        if why := wrong_parameter(node, {i: value for i, value in inputs.items() if i not in dynamic}):
            if stand_ins is None:
                raise LoweringError(f"{node.name} ({node.op_type})", found=f"the node {why}", fix=advice(why))
            if node.name not in stand_ins.names:
                stand_ins.told.append(problem(node, why))
                stand_ins.names.add(node.name)
        try:
            if node.op_type in GROWING:
                refuse_large(node, inputs, opset)
            outputs = (
                stand_ins.of(node, inputs)
                if stand_ins is not None and node.name in stand_ins.names
                else run_node(node, inputs, opset, ir_version)
            )
        except Exception as error:  # whatever the runtime raises says that the file is at fault, not we
            reason = " ".join(str(error).split())[:200]
            if stand_ins is not None:
                stand_ins.told.append(problem(node, f"does not run: {reason}"))
                outputs = stand_ins.of(node, inputs)
            else:
                raise LoweringError(f"{node.name} ({node.op_type})", found=f"the node does not run: {reason}", fix=FILE_FIX) from None
        if node.op_type != "Shape" and any(i in dynamic for i in node.input):
            dynamic.update(outputs)
            if node.output[0] in outputs:
                kept.append(node)
        else:
            constants.update(outputs)
    return kept, dynamic
