"""Folding as data: how many lanes every unit works on, given as in FINN's folding files, applied to a graph.

`{"Defaults": {}, "mvau_0": {"PE": 2, "SIMD": 16}, "logit_table": {"PE": 1}}`: each unit says which of the two sets which port's lanes
(`Node.knobs`): an MVAU gives PE and takes SIMD lanes, an SWG has SIMD at both ends, most others PE. A unit that is not named takes
"Defaults", and else 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from math import gcd, lcm
from pathlib import Path

from arbonn.errors import FoldingError
from arbonn.files import UNREADABLE
from arbonn.hw.graph import DataflowGraph, Endpoint, Node, Stream
from arbonn.hw.units.dwc import DWC
from arbonn.hw.units.fifo import FIFO

Folding = Mapping[str, Mapping[str, int]]


def read_folding(path: Path) -> Folding:
    """Reads a folding file. Raises FoldingError for anything that is not `{unit: {"PE": n, "SIMD": n}}`."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except UNREADABLE as error:
        raise FoldingError(str(path), found=f"no readable JSON file ({error})", allowed='{"mvau_0": {"PE": 2, "SIMD": 16}}') from None
    if not isinstance(document, dict) or not all(_is_entry(entry) for entry in document.values()):
        raise FoldingError(str(path), found="something else than positive PE and SIMD by unit", allowed='{"mvau_0": {"PE": 2, "SIMD": 16}}')
    return document


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose keys stand there once: of two, json would keep the last without a word."""
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]!r} stands there twice")
    return dict(pairs)


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and all(k in ("PE", "SIMD") and type(v) is int and v >= 1 for k, v in entry.items())


def port_lanes(node: Node, ports: Mapping[str, Stream], folding: Folding) -> dict[str, int]:
    """Lanes of each port of a node under a folding. Raises FoldingError where they do not divide the channels."""
    entry = {**folding.get("Defaults", {}), **folding.get(node.id, {})}
    lanes = {}
    for port, (key, channels) in node.knobs(ports).items():
        lanes[port] = count = entry.get(key, 1) if key else channels
        if channels % count:
            if node.id not in folding:
                raise FoldingError(
                    "Defaults",
                    found=f"{count} lanes do not divide the {channels} channels of {node.id}.{port}",
                    allowed=_divisors(channels),
                )
            raise FoldingError(
                f"{node.id} ({node.kind})",
                found=f"{key} = {count} does not divide the {channels} {'inputs' if port in node.takes else 'outputs'}",
                allowed=f"{key} in {_divisors(channels)}",
                fix="take a divisor, or leave the unit out",
            )
    return lanes


def entries(node: Node, ports: Mapping[str, Stream]) -> Iterator[dict[str, int]]:
    """Every folding entry of one unit."""
    wholes: dict[str, int] = {}
    for key, channels in node.knobs(ports).values():
        if key:
            wholes[key] = gcd(wholes.get(key, 0), channels)
    keys = sorted(wholes)
    for counts in product(*(divisors(wholes[key]) for key in keys)):
        yield dict(zip(keys, counts, strict=True))


def divisors(n: int) -> list[int]:
    """All divisors, rising."""
    return [d for d in range(1, n + 1) if n % d == 0]


def _divisors(n: int) -> str:
    return ", ".join(map(str, divisors(n)))


def apply_folding(
    graph: DataflowGraph, folding: Folding, depths: Mapping[str, int] | None = None, *, checked: bool = True
) -> DataflowGraph:
    """The same network under another folding: earlier DWCs and FIFOs are dropped, new DWCs put where lanes differ.

    `depths`: FIFOs by the id of the stream (of `unbuffered(graph)`) that they stand on; 0 is no FIFO. They stand behind the DWC: in
    front of it, a converter to wide words would feed a unit's first fold one narrow word a cycle. Raises FoldingError for a unit that
    the graph lacks and for lanes that do not divide. `checked` False: of a part of a graph, whose inputs are of any type.
    """
    plain = unbuffered(graph)
    unknown = [name for name in folding if checked and name != "Defaults" and name not in {n.id for n in plain.nodes}]
    if unknown:
        raise FoldingError("folding", found=f"no unit called {unknown[0]!r}", allowed=", ".join(n.id for n in plain.nodes))
    lanes = {(node.id, port): count for node in plain.nodes for port, count in port_lanes(node, plain.ports(node), folding).items()}
    nodes, streams = list(plain.nodes), []
    for stream in plain.streams:
        given = lanes[stream.source] if stream.source else lanes[stream.sink] if stream.sink else stream.lanes
        taken = lanes[stream.sink] if stream.sink else given
        depth = (depths or {}).get(stream.id, 0)
        chain: list[tuple[Node, int]] = []  # units put on this stream, with the lanes that each gives
        if given != taken:
            wide = lcm(given, taken)  # divides the channels as both do; going through more lanes never slows the stream down
            first = sum(isinstance(n, DWC) for n in nodes)
            steps = [wide] * (given < wide) + [taken] * (wide > taken)
            chain += [(DWC(f"dwc_{first + k}"), after) for k, after in enumerate(steps)]
        if depth:
            chain.append((FIFO(f"fifo_{sum(isinstance(n, FIFO) for n in nodes)}", depth), taken))
        current = replace(stream, lanes=given)
        for node, after in chain:
            streams.append(replace(current, sink=Endpoint(node.id, "i")))
            current = replace(stream, id=f"{node.id}_o", lanes=after, source=Endpoint(node.id, "o"))
            nodes.append(node)
        streams.append(current)
    folded = graph.with_nodes(nodes, streams)
    return folded.verify() if checked else folded


def unbuffered(graph: DataflowGraph) -> DataflowGraph:
    """The graph without DWCs and FIFOs; a stream keeps the id that it has at its source."""
    dropped = {n.id for n in graph.nodes if isinstance(n, DWC | FIFO)}
    streams = []
    for stream in graph.streams:
        if stream.source and stream.source.node in dropped:
            continue
        end = stream.sink
        while end and end.node in dropped:
            end = graph.ports(graph.node(end.node))["o"].sink
        streams.append(replace(stream, sink=end))
    return graph.with_nodes([n for n in graph.nodes if n.id not in dropped], streams)


def folding_of(graph: DataflowGraph) -> dict[str, dict[str, int]]:
    """The folding that a graph has; `apply_folding` gives the same lanes again."""
    found: dict[str, dict[str, int]] = {"Defaults": {}}
    for node in unbuffered(graph).nodes:
        ports = graph.ports(node)
        found[node.id] = {key: ports[port].lanes for port, (key, _) in node.knobs(ports).items() if key}
    return found
