"""How folded layers add: in how many stages, for which clock, and of what cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from arbonn.flows.lowering.passes.base import Pass
from arbonn.hw.graph import DataflowGraph, Node
from arbonn.hw.pipeline import pipelined
from arbonn.hw.units.mvau import DEPTHS, MVAU


@dataclass(frozen=True)
class Engines(Pass):
    """Gives every MVAU more pipeline stages, and sums as a family of devices has them.

    Before  MVAU(depth, lut_inputs, primitives).
    After   MVAU(depth=3 + stages, lut_inputs), at most the deepest there is; primitives where the domain is "popcount".
    Keeps   every value, and cycles a frame; the latency grows by `stages` for each MVAU.
    """

    name: ClassVar[str] = "engines"
    stages: int = 0
    primitives: bool = False
    lut_inputs: int = 4

    def apply(self, graph: DataflowGraph) -> DataflowGraph:
        return graph.with_nodes([self._set(node) for node in graph.nodes], graph.streams)

    def _set(self, node: Node) -> Node:
        if not isinstance(node, MVAU):
            return node
        depth = max(node.depth, min(DEPTHS[0] + self.stages, DEPTHS[-1]))
        primitives = node.primitives or (self.primitives and node.domain == "popcount")
        return replace(node, depth=depth, primitives=primitives, lut_inputs=max(node.lut_inputs, self.lut_inputs))


@dataclass(frozen=True)
class Clocked(Pass):
    """Gives every folded MVAU as many pipeline stages as leave no more LUT levels between registers than a clock allows.

    Before  MVAU(depth), lanes as folded.
    After   MVAU(depth: the least at which no stage has more than `levels`, or the one that has fewest in its longest).
    Keeps   every value, and cycles a frame; the latency grows with the stages.
    """

    name: ClassVar[str] = "clocked"
    levels: int = 0

    def apply(self, graph: DataflowGraph) -> DataflowGraph:
        nodes = [pipelined(node, graph.ports(node), self.levels) if isinstance(node, MVAU) else node for node in graph.nodes]
        return graph.with_nodes(nodes, graph.streams)
