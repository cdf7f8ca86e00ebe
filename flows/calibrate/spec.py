"""A unit of the sweep as plain data: its kind, its attributes and its streams; arrays by their shape alone, drawn again from a seed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from arbonn.flows.cmvm import PRIMITIVES
from arbonn.hw.cost.cost import FAMILIES
from arbonn.hw.datatypes import DataType, Integers, datatype
from arbonn.hw.graph import Endpoint, Node, Ports, Stream
from arbonn.hw.units import unit_kind

SPREAD = 0.15  # of thresholds about the middle of what they compare, as a part of its range: as batch normalisation gives them
MOST_VALUES = 2000  # of a table: a greater one is drawn anew
BY_CONNECTIONS = ("SparseMVAU", "UnrolledMVAU")  # units whose cost is that of the weights that are not 0


def families_of(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """The families that a unit is built for: cells of 7-series and sums for its LUTs are of no other."""
    attributes = spec["attributes"]
    return PRIMITIVES[:1] if attributes.get("primitives") or attributes.get("lut_inputs") else FAMILIES


def spec_of(node: Node, ports: Ports, values: bool = False) -> dict[str, Any]:
    """The spec of a unit of a graph. Equal specs give equal Verilog.

    values  with those of thresholds, where there are several a row, and of small tables: what these take hangs on them.
    """
    attributes: dict[str, Any] = {}
    for each in fields(node):
        value = getattr(node, each.name)
        if each.name in ("id", "origin") or (each.metadata and value == each.default):
            continue
        if isinstance(value, np.ndarray):
            attributes[each.name] = {"shape": list(value.shape)}
            several = node.kind == "Thresholding" or value.shape[-1] > 1
            if values and (several if each.name == "thresholds" else each.name == "table" and value.size <= MOST_VALUES):
                attributes[each.name]["values"] = value.tolist()
            if (
                each.name == "weights"
                and node.kind in BY_CONNECTIONS
                and (most := int(np.count_nonzero(value, axis=1).max())) < value.shape[1]
            ):
                attributes[each.name]["connections"] = most
        else:
            attributes[each.name] = {"type": value.name} if isinstance(value, DataType) else value
    streams = {port: [list(s.shape), s.dtype.name, s.lanes] for port, s in sorted(ports.items())}
    found: dict[str, Any] = json.loads(json.dumps({"kind": node.kind, "attributes": attributes, "ports": streams}))
    return found


def unit_of(spec: Mapping[str, Any]) -> tuple[Node, Ports]:
    """The unit of a spec, with its streams. Raises TypeError or KeyError for one of other attributes than the unit has today."""
    kind = unit_kind(spec["kind"])
    random = np.random.default_rng(zlib.crc32(json.dumps(spec, sort_keys=True).encode()))
    ends = kind("u", **{name: _value(entry, {}) for name, entry in spec["attributes"].items()})
    ports = {}
    for port, (shape, name, lanes) in spec["ports"].items():
        end = {"sink" if port in ends.takes else "source": Endpoint("u", port)}
        ports[port] = Stream(port, tuple(shape), datatype(name), lanes, **end)
    arrays: dict[str, Integers] = {}
    for name, entry in spec["attributes"].items():
        if isinstance(entry, dict) and "shape" in entry and name != "thresholds":
            if "values" in entry:
                arrays[name] = np.array(entry["values"], dtype=np.int64)
                continue
            arrays[name] = _drawn(name, tuple(entry["shape"]), spec["attributes"], ports, random)
            if "connections" in entry:
                arrays[name] = _connected(entry, spec["attributes"], random)
    if (told := spec["attributes"].get("thresholds")) is not None:
        known = "values" in told
        arrays["thresholds"] = np.array(told["values"], dtype=np.int64) if known else _thresholds(kind, spec, arrays, ports, random)
    node = kind("u", **{name: _value(entry, arrays, name) for name, entry in spec["attributes"].items()})
    problems = list(node.problems(ports))
    assert not problems, f"{spec}: {problems}"
    return node, ports


def _value(entry: Any, arrays: Mapping[str, Integers], name: str = "") -> Any:
    if isinstance(entry, dict):
        return datatype(entry["type"]) if "type" in entry else arrays.get(name, np.zeros(entry["shape"], np.int64))
    return tuple(entry) if isinstance(entry, list) else entry


def _drawn(name: str, shape: tuple[int, ...], attributes: Mapping[str, Any], ports: Ports, random: np.random.Generator) -> Integers:
    if name == "order":
        return random.permutation(shape[0])
    dtype = datatype(attributes["weight_dtype"]["type"]) if name == "weights" else ports["o"].dtype
    return random.choice(dtype.every(), shape)


def _connected(entry: Mapping[str, Any], attributes: Mapping[str, Any], random: np.random.Generator) -> Integers:
    """So many weights of each row that are not 0: all 1, or as the type has them where the unit takes more than two values."""
    values = [value for value in datatype(attributes["weight_dtype"]["type"]).every() if value]
    found = np.zeros(entry["shape"], dtype=np.int64)
    for row in found:
        chosen = random.choice(len(row), entry["connections"], replace=False)
        row[chosen] = 1 if "parallel" in attributes else random.choice(values, len(chosen))
    return found


def _thresholds(
    kind: type[Node], spec: Mapping[str, Any], arrays: Mapping[str, Integers], ports: Ports, random: np.random.Generator
) -> Integers:
    """Rising in each row, about the middle of the accumulator's range."""
    shape = tuple(spec["attributes"]["thresholds"]["shape"])
    low, high = ports["i"].dtype.low, ports["i"].dtype.high
    if "weights" in arrays:
        plain: Any = kind("u", **{name: _value(entry, arrays, name) for name, entry in spec["attributes"].items() if name != "thresholds"})
        rows = getattr(plain, "folded", None) or (plain.rows if not isinstance(getattr(plain, "rows", 0), int) else plain)
        low, high = rows.sums_range(ports["i"].dtype)
    middle, spread = (low + high) / 2, SPREAD * (high - low) + 1
    return np.sort(np.clip(np.rint(random.normal(middle, spread, shape)), low, high + 1).astype(np.int64), axis=1)
