"""A graph as two files: readable `graph.json` and `graph.npz` with its arrays, loaded without pickle and checked against bounds."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from arbonn.errors import GraphError
from arbonn.files import UNREADABLE, replacing, write_text
from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import DataType, datatype
from arbonn.hw.graph import SCHEMA, DataflowGraph, Endpoint, Node, Stream
from arbonn.hw.units import unit_kind

MAX_NODES = 100_000
MAX_ELEMENTS = 1 << 28  # of one array


def save(graph: DataflowGraph, folder: Path) -> None:
    """Writes both files, each whole or not at all; the .json last, since it holds the digest of the .npz's content."""
    document, arrays = _document(graph)
    document["digest"] = digest(graph)
    with replacing(folder / "graph.npz") as path:
        np.savez_compressed(path, **arrays)
    write_text(folder / "graph.json", json.dumps(document, indent=1) + "\n")


def digest(graph: DataflowGraph) -> str:
    """SHA-256 of everything the hardware and the reference depend on (not of the provenance)."""
    document, arrays = _document(graph)
    del document["provenance"]
    for node in document["nodes"]:
        del node["origin"]
    state = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        state.update(f"{name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
    return state.hexdigest()


def load(folder: Path) -> DataflowGraph:
    """Reads and verifies a graph. Raises GraphError that names the file for anything that is not one."""
    path = folder / "graph.json"
    fix = "make it again with `arbonn lower MODEL --out " + str(folder) + "`"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        with (folder / "graph.npz").open("rb") as raw, np.load(raw, allow_pickle=False) as file:  # a broken one would stay open in np.load
            arrays = {name: file[name] for name in file.files}
    except UNREADABLE as error:
        raise GraphError(
            str(path), found=f"no readable graph ({type(error).__name__}: {error})", allowed="graph.json and graph.npz", fix=fix
        ) from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        seen = document.get("schema") if isinstance(document, dict) else None
        raise GraphError(str(path), found=f"schema {seen}", allowed=f"schema {SCHEMA}", fix=fix)
    try:
        graph = _graph(document, arrays).verify()
    except (KeyError, TypeError, AttributeError, IndexError, *UNREADABLE) as error:
        raise GraphError(
            str(path), found=f"a damaged graph ({type(error).__name__}: {error})", allowed="what `arbonn lower` writes", fix=fix
        ) from None
    if digest(graph) != document.get("digest"):
        raise GraphError(str(path), found="another digest than graph.npz and graph.json give", allowed="two files of one lowering", fix=fix)
    return graph


def _document(graph: DataflowGraph) -> tuple[dict[str, Any], dict[str, Any]]:
    arrays: dict[str, Any] = {}
    nodes = []
    for node in graph.nodes:
        entry: dict[str, Any] = {"id": node.id, "kind": node.kind, "origin": list(node.origin)}
        for name in _parameters(type(node)):
            value = getattr(node, name)
            if name in _optional(type(node)) and value == _optional(type(node))[name]:
                continue
            if isinstance(value, np.ndarray):
                arrays[f"{node.id}/{name}"] = value.astype(np.int64)
                entry[name] = {"array": f"{node.id}/{name}"}
            else:
                entry[name] = {"type": value.name} if isinstance(value, DataType) else value
        nodes.append(entry)
    contract = graph.contract
    if contract.table is not None:
        arrays["contract/table"] = contract.table
    document = {
        "schema": SCHEMA,
        "contract": {
            "dtype": contract.dtype.name, "numerator": contract.numerator, "denominator": contract.denominator,
            "zero": contract.zero, "low": contract.low, "high": contract.high, "table": contract.table is not None,
        },
        "provenance": dict(graph.provenance),
        "nodes": nodes,
        "streams": [
            {"id": s.id, "shape": list(s.shape), "dtype": s.dtype.name, "lanes": s.lanes, "source": s.source, "sink": s.sink}
            for s in graph.streams
        ],
    }  # fmt: skip
    return document, arrays


def _graph(document: dict[str, Any], arrays: dict[str, Any]) -> DataflowGraph:
    if len(document["nodes"]) > MAX_NODES or any(a.size > MAX_ELEMENTS for a in arrays.values()):
        raise ValueError(f"more than {MAX_NODES} nodes or {MAX_ELEMENTS} elements in an array")
    nodes = []
    for entry in document["nodes"]:
        kind = unit_kind(entry["kind"])
        known = _parameters(kind)
        unknown = set(entry) - {"id", "kind", "origin", *known}
        if unknown:
            raise ValueError(f"{entry['kind']} with {', '.join(sorted(unknown))}")
        values = {name: _value(entry[name], arrays) for name in known if name in entry}
        nodes.append(kind(entry["id"], origin=tuple(map(str, entry["origin"])), **values))
    streams = [
        Stream(str(e["id"]), tuple(map(int, e["shape"])), datatype(e["dtype"]), int(e["lanes"]), _end(e["source"]), _end(e["sink"]))
        for e in document["streams"]
    ]
    terms = dict(document["contract"])
    terms["dtype"] = datatype(terms["dtype"])
    terms["table"] = arrays["contract/table"] if terms["table"] else None
    return DataflowGraph(tuple(nodes), tuple(streams), InputContract(**terms), {str(k): str(v) for k, v in document["provenance"].items()})


def _parameters(kind: type[Node]) -> list[str]:
    return [f.name for f in fields(kind) if f.name not in ("id", "origin")]


def _optional(kind: type[Node]) -> dict[str, Any]:
    """Fields that are saved only where they are not their default, with that default: older files and digests stay right."""
    return {f.name: f.default for f in fields(kind) if f.metadata.get("unsaved default")}


def _value(entry: Any, arrays: dict[str, Any]) -> Any:
    if isinstance(entry, dict):
        return datatype(entry["type"]) if "type" in entry else arrays[entry["array"]]
    return tuple(entry) if isinstance(entry, list) else entry


def _end(entry: list[str] | None) -> Endpoint | None:
    return None if entry is None else Endpoint(str(entry[0]), str(entry[1]))
