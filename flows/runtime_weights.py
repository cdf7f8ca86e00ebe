"""A lowered network made ready for other parameters: writable tables, and types with room for what another training may give."""

from __future__ import annotations

from dataclasses import replace

from arbonn.flows.lowering.logits import WIDEST
from arbonn.hw.datatypes import DataType, datatype, smallest
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.parameters import Parametric, runtime_units, with_runtime_parameters
from arbonn.hw.units.dwc import DWC
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.label_select import LabelSelect
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.max_pool import MaxPool
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.shuffle import Shuffle
from arbonn.hw.units.swg import SWG
from arbonn.hw.units.vvau import VVAU

PASSING = (DWC, FIFO, LabelSelect, MaxPool, Shuffle, SWG)  # they give on what they take, in its type


def with_runtime_weights(graph: DataflowGraph) -> DataflowGraph:
    """The same network, to the bit and to the cycle, with run-time parameters in every unit that can have them.

    What leaves the accelerator gets the type that any parameters need: accumulators that of any weights, logits that come from a table
    `WIDEST` bits. So two trainings of one network of one-bit weights give graphs for one device. What lowering chooses by the parameters
    it sees stays: the type of weights of more bits, thresholds in place of a table of few logits. Where two trainings differ in such,
    their devices do, and `arbonn.hw.shells.axi_map.same_hardware` says in what.
    """
    graph = with_runtime_parameters(graph)
    for node in runtime_units(graph):
        graph = _widened(graph, graph.ports(node)["o"].id, _room(node, graph))
    return graph.verify()


def _room(node: Parametric, graph: DataflowGraph) -> DataType:
    """The type that the unit's output needs for any parameters."""
    ports = graph.ports(node)
    if isinstance(node, Lookup):
        return datatype(f"INT{WIDEST}")
    if isinstance(node, MVAU | VVAU) and node.thresholds is None:
        matrix = node if isinstance(node, MVAU) else node.rows
        return smallest(*matrix.sums_range(ports["i"].dtype))
    return ports["o"].dtype


def _widened(graph: DataflowGraph, start: str, dtype: DataType) -> DataflowGraph:
    """The graph with another type for `start` and the streams that it is passed on to; as it was if that is no wider or a unit computes."""
    old, found = graph.stream(start).dtype, [start]
    if dtype.low > old.low or dtype.high < old.high or dtype.bits <= old.bits:
        return graph
    for name in found:  # grows as it goes
        sink = graph.stream(name).sink
        if sink is None:
            continue
        node = graph.node(sink.node)
        if not isinstance(node, PASSING):
            return graph
        found += [s.id for port, s in graph.ports(node).items() if port in node.gives and port != "label"]
    return graph.with_nodes(graph.nodes, [replace(s, dtype=dtype) if s.id in found else s for s in graph.streams])
