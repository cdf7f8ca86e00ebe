"""Where constant tables lie: block RAM for those that would take more of the device in LUTs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from arbonn.hw.graph import DataflowGraph, Node
from arbonn.hw.parameters import Parametric
from arbonn.hw.rom import block_count, logic_cost
from arbonn.hw.units.sparse_mvau import SparseMVAU


def without_blocks(graph: DataflowGraph) -> DataflowGraph:
    """The same network with no table in block RAM for certain: for another folding, whose tables have other shapes."""
    return _with(graph, {})


def with_blocks(graph: DataflowGraph, target: str, luts: int, brams: int) -> DataflowGraph:
    """The same network with each constant table in block RAM that takes less of a device of so many LUTs and block RAMs there.

    Left to itself, yosys 0.70 makes LUTs of weights of some hundred words, however wide these are, where a tenth in block RAM would do.
    Where there are too few blocks, those of the fewest LUTs a block go without.
    """
    found = list[tuple[float, int, str, str]]()  # LUTs a block, blocks, unit, table
    for node in graph.nodes:
        if not isinstance(node, Parametric | SparseMVAU) or (isinstance(node, Parametric) and node.writable):
            continue
        ports = graph.ports(node)
        for name, (depth, width) in node.tables(ports).items():
            if len(set(node.words(ports)[name])) == 1:  # a constant
                continue
            blocks, instead = block_count(depth, width, target), logic_cost(depth, width, target)
            if instead / luts > blocks / max(1, brams):
                found.append((instead / blocks, blocks, node.id, name))
    chosen = dict[str, tuple[str, ...]]()
    for _, blocks, unit, name in sorted(found, key=lambda item: -item[0]):
        if blocks <= brams:
            brams -= blocks
            chosen[unit] = (*chosen.get(unit, ()), name)
    return _with(graph, chosen)


def _with(graph: DataflowGraph, blocks: Mapping[str, tuple[str, ...]]) -> DataflowGraph:
    nodes: list[Node] = []
    for node in graph.nodes:
        wanted = blocks.get(node.id, ())
        nodes.append(replace(node, blocks=wanted) if isinstance(node, Parametric | SparseMVAU) and node.blocks != wanted else node)
    return graph.with_nodes(nodes, graph.streams)
