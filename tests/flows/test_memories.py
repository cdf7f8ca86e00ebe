"""Which constant tables lie in block RAM: those that would take more of the device in LUTs; no bit and no cycle depends on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from arbonn.flows.memories import with_blocks, without_blocks
from arbonn.flows.synth import synthesize
from arbonn.hw import graph_file
from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.parameters import Parametric
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.verilog import to_verilog
from tests.strategies_images import alone

BIT = datatype("BIPOLAR")


def layer(rows: int, columns: int) -> DataflowGraph:
    random = np.random.default_rng(0)
    node = MVAU("u", random.choice([-1, 1], (rows, columns)), BIT, thresholds=np.full((rows, 1), columns // 2))
    return alone(node, {"i": ((columns,), BIT, 8), "o": ((rows,), BIT, 2)})


def blocks(graph: DataflowGraph) -> tuple[str, ...]:
    (node,) = graph.nodes
    assert isinstance(node, Parametric)
    return node.blocks


def test_wide_weights_go_into_block_ram_if_a_block_is_cheap() -> None:
    """64 x 64 weights in words of 16: one block of 18 Kib, or 315 LUTs as measured. The thresholds are one constant."""
    graph = layer(64, 64)
    assert blocks(with_blocks(graph, "xc7", 100_000, 1000)) == ("weights",)
    assert blocks(with_blocks(graph, "xc7", 1_000_000, 1000)) == ()  # a block is worth 1000 LUTs
    assert blocks(with_blocks(graph, "xc7", 100_000, 0)) == ()
    assert blocks(with_blocks(layer(2, 16), "xc7", 100_000, 1000)) == ()
    assert blocks(without_blocks(with_blocks(graph, "xc7", 100_000, 1000))) == ()


def test_a_graph_keeps_its_blocks_in_its_file(tmp_path: Path) -> None:
    graph = with_blocks(layer(64, 64), "xc7", 100_000, 1000)
    graph_file.save(graph, tmp_path)
    assert blocks(graph_file.load(tmp_path)) == ("weights",)
    assert graph_file.digest(graph) != graph_file.digest(without_blocks(graph))


def test_synthesis_does_as_the_unit_says() -> None:
    (node,) = (graph := with_blocks(layer(64, 64), "xc7", 100_000, 1000)).nodes
    cells = synthesize(to_verilog(node.component(graph.ports(node)), "unit"), "unit", "xc7")
    assert cells.brams == node.cost(graph.ports(node), "xc7").brams == 1
