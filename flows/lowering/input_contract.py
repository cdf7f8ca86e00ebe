"""Which input contract a file is lowered with: the first of option, the file's metadata, QONNX's annotation, its leading quantizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from arbonn.errors import InputError, LoweringError
from arbonn.flows.lowering.network import Network
from arbonn.flows.lowering.operators import SHAPE
from arbonn.hw.contract import ALLOWED, InputContract, parse_contract
from arbonn.hw.datatypes import datatype

METADATA = "arbonn.input"


@dataclass(frozen=True, eq=False)
class Found:
    """A contract and where it came from: `option`, `metadata`, `annotation` or `quantizer`."""

    contract: InputContract
    source: str


def find_contract(network: Network, text: str | None, table: Path | None) -> Found:
    """The contract of a network. Raises InputError for one that cannot be read, LoweringError that prints the line to type for none."""
    if text is not None:
        return Found(parse_contract(text, table), "option")
    if table is not None:
        raise InputError("--input-table", found="a table without `--input TYPE`", allowed=ALLOWED, fix="add `--input uint8`, say")
    if METADATA in network.metadata:
        try:
            return Found(parse_contract(network.metadata[METADATA]), "metadata")
        except InputError as error:
            raise InputError(
                f"{network.name} metadata {METADATA!r}", found=error.found, allowed=error.allowed, fix="give `--input`"
            ) from None
    if network.annotation is not None:
        return Found(InputContract(datatype(network.annotation)), "annotation")
    leading = _leading_quantizer(network)
    if leading is not None:
        return Found(leading, "quantizer")
    raise LoweringError(
        network.name,
        found=f"no input contract: nothing says which integers stand for input {network.input!r} of shape {network.shapes[network.input]}",
        allowed=ALLOWED,
        fix=f"arbonn lower {network.name} --input uint8,scale=1/255",
    )


def _leading_quantizer(network: Network) -> InputContract | None:
    """The contract that a quantizer straight behind the input states: its own integers, scale and zero point."""
    tensor = network.input
    for node in network.nodes:
        if node.op_type in SHAPE and node.input[0] == tensor:
            tensor = node.output[0]
            continue
        return _stated(network, node) if node.input[0] == tensor else None
    return None


def _stated(network: Network, node: onnx.NodeProto) -> InputContract | None:
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if any(i and i not in network.constants for i in node.input[1:]):
        return None
    parameters = [network.constants[i] if i else np.zeros(1) for i in node.input[1:]]
    if node.op_type == "BipolarQuant" and parameters[0].size == 1:
        return InputContract(datatype("BIPOLAR"), numerator=_number(parameters[0]))
    if node.op_type in ("Quant", "IntQuant") and all(p.size == 1 for p in parameters):
        scale, zero, bits = (_number(p) for p in parameters)
        signed, narrow = bool(attributes.get("signed", 1)), bool(attributes.get("narrow", 0))
        if bits != int(bits) or not 1 <= bits <= 16 or zero != int(zero):
            return None
        if bits == 1 and signed:
            return InputContract(datatype("BIPOLAR"), numerator=scale)
        kind = datatype(f"{'' if signed else 'U'}INT{int(bits)}")
        low, high = (kind.low + 1, None) if narrow and signed else (None, kind.high - 1 if narrow else None)
        return InputContract(kind, numerator=scale, zero=int(zero), low=low, high=high)
    if node.op_type == "QuantizeLinear" and all(p.size == 1 for p in parameters):
        zero_point = parameters[1] if len(parameters) > 1 and node.input[2] else np.zeros(1, np.uint8)
        if zero_point.dtype in (np.uint8, np.int8):
            return InputContract(datatype(str(zero_point.dtype).upper()), numerator=_number(parameters[0]), zero=int(_number(zero_point)))
    return None


def _number(array: NDArray[Any]) -> float:
    return float(np.asarray(array).reshape(-1)[0])
