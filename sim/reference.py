"""The plain reference: every unit's own `evaluate`, in order. What it says is what the hardware must give, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from arbonn.errors import InputError
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph, Stream


def execute(graph: DataflowGraph, inputs: Mapping[str, Integers]) -> dict[str, Integers]:
    """Values (frames, *shape) on every stream of the graph, from those on its inputs.

    Raises InputError for an input that is missing, of another shape, or with a value that its type does not hold.
    """
    values = {stream.id: checked(stream, inputs).astype(np.int64) for stream in graph.inputs}
    for node in graph.ordered():
        ports = graph.ports(node)
        outputs = node.evaluate({p: values[ports[p].id] for p in node.takes}, ports)
        values.update({ports[p].id: outputs[p] for p in node.gives})
    return values


def checked(stream: Stream, inputs: Mapping[str, NDArray[np.integer]]) -> NDArray[np.integer]:
    """What is given for an input of the graph, as an array that holds only what its type allows; raises InputError as `execute` says."""
    given = np.asarray(inputs[stream.id]) if stream.id in inputs else None
    if given is None or given.shape[1:] != stream.shape or given.dtype.kind not in "iu":
        seen = "nothing" if given is None else f"{given.dtype} of shape {given.shape}"
        raise InputError(f"input {stream.id}", found=seen, allowed=f"integers of shape (frames, {', '.join(map(str, stream.shape))})")
    if not stream.dtype.allows(given):
        raise InputError(f"input {stream.id}", found=f"values {given.min()} .. {given.max()}", allowed=f"values of {stream.dtype}")
    return given
