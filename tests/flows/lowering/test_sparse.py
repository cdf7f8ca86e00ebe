"""Layers of few connections become lists of them; values and interval stay, and a layer of many connections stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

from arbonn.flows.buffers import busy_cycles
from arbonn.flows.fold import Room, fold
from arbonn.flows.target import sparse_for
from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.sparse_mvau import SparseMVAU
from arbonn.sim.reference import execute
from arbonn.sim.timing import interval
from tests.strategies import values
from tests.strategies_images import alone

BIT, ROOM = datatype("BIPOLAR"), Room("xc7", 10**5, 10**5, 10**3)


def layer(share: float, lo: int, hi: int, kind: str) -> DataflowGraph:
    random = np.random.default_rng(0)
    weights = np.where(random.random((64, 256)) < share, hi, lo)
    node = MVAU("u", weights, datatype(kind), "dot", random.integers(-20, 20, (64, 1)))
    return alone(node, {"i": ((256,), BIT, 1), "o": ((64,), BIT, 1)})


@pytest.mark.parametrize(
    ("share", "lo", "hi", "kind", "sparse"), [(0.02, -1, 1, "BIPOLAR", True), (0.02, 0, 1, "BINARY", None), (0.5, -1, 1, "BIPOLAR", False)]
)
def test_a_layer_of_few_connections_is_a_list(share: float, lo: int, hi: int, kind: str, sparse: bool | None) -> None:
    """None: either, whichever is estimated to take less."""
    graph = layer(share, lo, hi, kind)
    dense = fold(graph, ROOM, 512)
    found = sparse_for(dense, ROOM)
    listed = any(isinstance(node, SparseMVAU) for node in found.graph.nodes)
    assert sparse is None or listed == sparse
    assert (ROOM.share(found.cost) < ROOM.share(dense.cost)) == listed
    assert max(busy_cycles(found.graph).values()) <= 512
    assert interval(found.graph, 20) == found.interval
    (x,), (y,) = graph.inputs, graph.outputs
    frames = {x.id: values(np.random.default_rng(1), BIT, (5, 256))}
    assert (execute(found.graph, frames)[y.id] == execute(graph, frames)[y.id]).all()
