"""The dataflow graph: the contract that the reference executes, the timing engine times, the RTL is made from and the report shows.

Nodes are frozen, integer-only dataclasses, one kind a file in `hw/units/`; edges are `Stream`s. A node holds what it computes with
(weights, thresholds, pipeline depth); shapes, types and folding (lanes) stand on the streams only, so nothing is written twice.

Order, for every unit: NHWC without N, channel fastest; lane 0 in the low bits; two's complement.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from arbonn.errors import GraphError
from arbonn.hw.contract import InputContract
from arbonn.hw.cost.cost import Cost as Cost
from arbonn.hw.cost.cost import Parts as Parts
from arbonn.hw.cost.cost import priced
from arbonn.hw.datatypes import DataType, Integers
from arbonn.hw.schedule import Control

if TYPE_CHECKING:
    from arbonn.hw.unit_component import UnitComponent

SCHEMA = 1
UNSAVED_DEFAULT = {"unsaved default": True}  # a field that came later: saved, and part of the digest, where it is not its default


class Endpoint(NamedTuple):
    """A named port of a node."""

    node: str
    port: str


@dataclass(frozen=True)
class Stream:
    """One edge. `id` is also the name of its probe in simulation.

    shape   one frame without the batch: (C,), (W, C) or (H, W, C).    lanes   channels in one transfer; divides C.
    source  the port that gives, None for an input of the graph.       sink    the port that takes, None for an output.
    """

    id: str
    shape: tuple[int, ...]
    dtype: DataType
    lanes: int
    source: Endpoint | None = None
    sink: Endpoint | None = None

    @property
    def elements(self) -> int:
        """Elements in a frame."""
        return prod(self.shape)

    @property
    def transfers(self) -> int:
        """Transfers in a frame."""
        return self.elements // self.lanes

    @property
    def width(self) -> int:
        """Bits of the payload."""
        return self.lanes * self.dtype.bits


Ports = Mapping[str, Stream]


@dataclass(frozen=True, eq=False)
class Node(ABC):
    """A unit of the graph. Its class (one a file) answers: what (`evaluate`), when (`control`), at what cost (`cost`), how (`component`).

    All methods take `ports`, the node's streams by port name, for shapes, types and lanes. `origin` names the ONNX nodes it came from.
    """

    id: str
    origin: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def takes(self) -> tuple[str, ...]:
        """Names of the input ports."""
        return ("i",)

    @property
    def gives(self) -> tuple[str, ...]:
        """Names of the output ports."""
        return ("o",)

    @property
    def kind(self) -> str:
        """The unit's name: the class's."""
        return type(self).__name__

    def knobs(self, ports: Ports) -> dict[str, tuple[str, int]]:
        """How a folding sets each port's lanes: the key of its entry (`PE`, `SIMD`) and the number that the lanes have to divide.

        The key "" fixes the lanes: they are that number. Ports with one key have the same lanes.
        """
        return {port: ("PE", stream.shape[-1]) for port, stream in ports.items()}

    def sizes(self, ports: Ports) -> range:
        """Sizes of the unit's own buffer, from the least that works to one that is enough; empty for a unit without one."""
        return range(0)

    def sized(self, size: int) -> Node:
        """The same unit with a buffer of that size, one of `sizes`."""
        raise NotImplementedError(f"{self.kind} has no buffer")

    @abstractmethod
    def problems(self, ports: Ports) -> Iterator[str]:
        """What is not legal about this node with these streams, as sentences; nothing when all is well."""

    @abstractmethod
    def evaluate(self, inputs: Mapping[str, Integers], ports: Ports) -> dict[str, Integers]:
        """The specification: arrays (frames, *shape) by port name, in and out."""

    @abstractmethod
    def control(self, ports: Ports) -> Control:
        """The exact schedule: which steps take and give."""

    def parts(self, ports: Ports, target: str) -> Parts:
        """What the unit is made of, in parts whose LUTs are fitted to synthesis. A unit that is made of others overrides `cost`."""
        raise NotImplementedError(f"{self.kind} says neither its parts nor its cost")

    def cost(self, ports: Ports, target: str) -> Cost:
        """Cost on a family of devices (`ice40`, `ecp5`, `gowin`, `xc7`, `xcup`). Raises GraphError for any other."""
        return priced(self.parts(ports, target), target)

    @abstractmethod
    def component(self, ports: Ports) -> UnitComponent:
        """The Amaranth component."""


@dataclass(frozen=True)
class DataflowGraph:
    """A whole accelerator. `provenance` is free text by key (file name and hash, recipe, versions)."""

    nodes: tuple[Node, ...]
    streams: tuple[Stream, ...]
    contract: InputContract
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[Stream, ...]:
        return tuple(s for s in self.streams if s.source is None)

    @property
    def outputs(self) -> tuple[Stream, ...]:
        return tuple(s for s in self.streams if s.sink is None)

    def node(self, name: str) -> Node:
        return next(n for n in self.nodes if n.id == name)

    def stream(self, name: str) -> Stream:
        return next(s for s in self.streams if s.id == name)

    def ports(self, node: Node) -> dict[str, Stream]:
        """The node's streams by port name."""
        found = {s.sink.port: s for s in self.streams if s.sink and s.sink.node == node.id}
        found.update({s.source.port: s for s in self.streams if s.source and s.source.node == node.id})
        return found

    def ordered(self) -> tuple[Node, ...]:
        """Nodes with every producer before its consumers. Raises GraphError on a directed cycle."""
        feeds: dict[str, set[str]] = {n.id: set() for n in self.nodes}
        for s in self.streams:
            if s.source and s.sink:
                feeds[s.sink.node].add(s.source.node)
        done: list[str] = []
        while len(done) < len(feeds):
            ready = [n for n, sources in feeds.items() if n not in done and sources <= set(done)]
            if not ready:
                raise GraphError(
                    "graph", found=f"a directed cycle through {', '.join(sorted(set(feeds) - set(done)))}", allowed="feed-forward graphs"
                )
            done += ready
        by_id = {n.id: n for n in self.nodes}
        return tuple(by_id[name] for name in done)

    def with_nodes(self, nodes: Sequence[Node], streams: Sequence[Stream]) -> DataflowGraph:
        """The same network with other nodes and streams."""
        return replace(self, nodes=tuple(nodes), streams=tuple(streams))

    def verify(self) -> DataflowGraph:
        """Returns the graph if it is legal by every rule of `RULES`; raises GraphError with all that is wrong otherwise."""
        for rule in RULES:
            found = list(rule(self))
            if found:  # later rules rely on the earlier ones
                raise GraphError("graph", found="; ".join(found), allowed=(rule.__doc__ or "").strip())
        return self


NAME = re.compile(r"[a-z][a-z0-9_]*")


def _names(graph: DataflowGraph) -> Iterator[str]:
    """ids of lower-case letters, digits and single underscores, unique among nodes and among streams"""
    for what, ids in (("node", [n.id for n in graph.nodes]), ("stream", [s.id for s in graph.streams])):
        for name in ids:
            if not NAME.fullmatch(name) or "__" in name:  # "__" is Amaranth's own separator in port names
                yield f"{what} id {name!r}"
            if ids.count(name) > 1:
                yield f"{what} id {name!r} occurs {ids.count(name)} times"


def _connections(graph: DataflowGraph) -> Iterator[str]:
    """every port of every node on exactly one stream, at least one input and one output, no stream without a node"""
    wanted = [Endpoint(n.id, p) for n in graph.nodes for p in n.takes]
    given = [Endpoint(n.id, p) for n in graph.nodes for p in n.gives]
    for what, expected, seen in (
        ("input", wanted, [s.sink for s in graph.streams if s.sink]),
        ("output", given, [s.source for s in graph.streams if s.source]),
    ):
        for end in {*expected, *seen}:
            if seen.count(end) != expected.count(end):
                yield f"{what} port {end.node}.{end.port} is on {seen.count(end)} streams"
    if not graph.inputs or not graph.outputs:
        yield f"{len(graph.inputs)} inputs, {len(graph.outputs)} outputs"
    yield from (f"stream {s.id} has neither source nor sink" for s in graph.streams if not s.source and not s.sink)


def _shapes(graph: DataflowGraph) -> Iterator[str]:
    """shapes of 1 to 3 positive sizes, lanes that divide the channels, transfers at most 2^31"""
    for s in graph.streams:
        if not 1 <= len(s.shape) <= 3 or min(s.shape) < 1 or s.lanes < 1 or s.shape[-1] % s.lanes:
            yield f"stream {s.id}: shape {s.shape}, lanes {s.lanes}"
        elif s.transfers >= 1 << 31:
            yield f"stream {s.id}: {s.transfers} transfers in a frame"


def _inputs(graph: DataflowGraph) -> Iterator[str]:
    """inputs of the input contract's type"""
    for s in graph.inputs:
        if s.dtype != graph.contract.dtype:
            yield f"input {s.id} is {s.dtype}, the contract says {graph.contract.dtype}"


def _acyclic(graph: DataflowGraph) -> Iterator[str]:
    """no directed cycle"""
    try:
        graph.ordered()
    except GraphError as error:
        yield error.found


def _units(graph: DataflowGraph) -> Iterator[str]:
    """what each unit's own file says"""
    for node in graph.nodes:
        yield from (f"{node.id} ({node.kind}): {problem}" for problem in node.problems(graph.ports(node)))


RULES: tuple[Callable[[DataflowGraph], Iterator[str]], ...] = (_names, _connections, _shapes, _inputs, _acyclic, _units)
