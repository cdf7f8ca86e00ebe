"""An emitted file against the graph that it came from: the same logits, integer for integer, as qonnx executes it."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from arbonn.errors import CheckError
from arbonn.flows.finn.dialect import finn_model
from arbonn.flows.lowering.lower import drawn_frames
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph
from arbonn.sim import reference


def compared(graph: DataflowGraph, frames: int = 16, seed: int = 0) -> int:
    """How many logits of drawn frames were compared. Raises CheckError that names the first that differs."""
    source = graph.inputs[0]
    codes = drawn_frames(graph.contract, source.elements, frames, seed).reshape(-1, *source.shape)
    seen, expected = executed(finn_model(graph, len(codes)), codes), logits_of(graph, codes)
    if not np.array_equal(seen, expected):
        frame, place = np.argwhere(seen != expected)[0]
        found = f"logit {place} of frame {frame} is {seen[frame, place]:g}, the graph has {expected[frame, place]}"
        raise CheckError("finn-base", found=found, allowed="no difference", fix="report this defect")
    return int(seen.size)


def executed(model: onnx.ModelProto, codes: Integers) -> NDArray[np.float32]:
    """Logits (frames, C) of codes (frames, *shape of the graph's input) by qonnx."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Some old-style domain attributes were automatically converted")
        wrapped = ModelWrapper(model)
    (logits,) = execute_onnx(wrapped, {"x": as_input(codes)}).values()
    return np.asarray(logits, np.float32)


def as_input(codes: Integers) -> NDArray[np.float32]:
    """Codes in the order of the file's input: channels first."""
    return np.ascontiguousarray(np.moveaxis(codes, -1, 1)).astype(np.float32)


def logits_of(graph: DataflowGraph, codes: Integers) -> Integers:
    """The same by the reference."""
    select = next((n for n in graph.nodes if n.kind == "LabelSelect"), None)
    tensors = reference.execute(graph, {graph.inputs[0].id: codes})
    return tensors[graph.ports(select)["i"].id if select is not None else graph.outputs[0].id]
