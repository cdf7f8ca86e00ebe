"""XnorPopcountMatMul of FINN's dialect, written as what it computes: a MatMul of bipolar values.

FINN's operator takes bits and counts equal ones: y = (K + (2 x - 1) @ (2 w - 1)) / 2 for K inputs. Every step is exact in float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping

import numpy as np
import onnx

from arbonn.flows.lowering.network import Array
from arbonn.flows.lowering.operators import QONNX_DOMAIN


def written_out(nodes: Iterable[onnx.NodeProto], constants: MutableMapping[str, Array]) -> Iterator[onnx.NodeProto]:
    """The nodes, with those XnorPopcountMatMuls written out whose weights are constants of bits; their constants are added."""
    for node in nodes:
        weights = constants.get(node.input[1]) if node.op_type == "XnorPopcountMatMul" and len(node.input) == 2 else None
        if weights is None or node.domain != QONNX_DOMAIN or not np.isin(weights, (0, 1)).all():
            yield node
            continue
        values = {"two": 2.0, "one": 1.0, "count": float(weights.shape[0]), "half": 0.5, "signs": 2.0 * weights - 1.0}
        name = {key: f"{node.name} {key}" for key in values}
        constants.update({name[key]: np.asarray(value, np.float32) for key, value in values.items()})
        steps = (
            ("doubled", "Mul", "two"),
            ("bipolar", "Sub", "one"),
            ("", "MatMul", "signs"),
            ("raised", "Add", "count"),
            ("", "Mul", "half"),
        )
        tensor = node.input[0]
        for k, (suffix, op, constant) in enumerate(steps):
            output = node.output[0] if k == len(steps) - 1 else f"{node.name} {k}"
            own = node.name if op == "MatMul" else f"{node.name}_{suffix or 'halved'}"
            yield onnx.helper.make_node(op, [tensor, name[constant]], [output], own)
            tensor = output
