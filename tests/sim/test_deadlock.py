"""A deadlock names the units that wait for each other, in order; and what it names, deepened, ends it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from arbonn.errors import CheckError
from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.add_streams import AddStreams
from arbonn.hw.units.duplicate_streams import DuplicateStreams
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.max_pool import MaxPool
from arbonn.hw.units.swg import SWG
from arbonn.sim.timing import predict
from tests.graph_builder import GraphBuilder


def residual(depth: int, size: int = 4, outer: int = 0) -> DataflowGraph:
    """y = x + max of x's 3 x 3 window: the direct branch has a FIFO of `depth`, the windows need a row and more ahead."""
    shape, kind = (size, size, 1), datatype("UINT2")
    port = (shape, kind, 1)
    made = GraphBuilder(port)
    start = made.chain(FIFO("front", outer), "x", port) if outer else "x"
    windows, direct = made.add(DuplicateStreams("fork"), {"i": start}, {"o0": port, "o1": port})
    node = SWG("swg", (3, 3), 2 * size + 3, padding=(1, 1, 1, 1))
    windows = made.chain(node, windows, ((size, size, 9), kind, 1))
    windows = made.chain(MaxPool("pool", 9), windows, port)
    direct = made.chain(FIFO("direct", depth), direct, port)
    made.add(AddStreams("join"), {"i0": windows, "i1": direct}, {"o": (shape, datatype("UINT3"), 1)})
    return made.graph()


def told(graph: DataflowGraph) -> str:
    with pytest.raises(CheckError) as caught:
        predict(graph, 2)
    return str(caught.value)


def test_the_cycle_is_named_in_order() -> None:
    assert told(residual(2)) == (
        "CheckError: timing: deadlock in cycle 11 (join_o 0 of 32 transfers): join waits for pool to give pool_o, "
        "pool waits for swg to give swg_o, swg waits for its count of held, swg waits for fork to give fork_o0, "
        "fork waits for direct to take fork_o1, direct waits for join to take direct_o\n"
        "  allowed  buffers that hold what a branch needs ahead of the other\n"
        "  fix      a deeper FIFO on `fork_o1` or `direct_o`"
    )


@given(depth=st.integers(1, 8), size=st.integers(3, 5), outer=st.integers(0, 3))
@settings(max_examples=30)
def test_each_unit_waits_for_the_next_and_the_last_for_the_first(depth: int, size: int, outer: int) -> None:
    graph = residual(depth, size, outer)
    try:
        predict(graph, 2)
    except CheckError as error:
        waits = re.findall(r"(\w+) waits for (?:its count of (\w+)|(\w+) to (take|give) (\w+))", error.found)
    else:
        assume(False)
    names = [w[0] for w in waits]
    for (unit, count, other, action, what), following in zip(waits, names[1:] + names[:1], strict=True):
        assert following == (unit if count else other)
        if not count:
            ends = (graph.stream(what).source, graph.stream(what).sink)
            assert [end.node if end else "" for end in ends] == ([unit, other] if action == "take" else [other, unit])
    fifo = graph.node("direct")
    assert isinstance(fifo, FIFO)
    nodes = [replace(fifo, depth=2 * size + 4) if n is fifo else n for n in graph.nodes]
    assert "`fork_o1`" in str(error_of(graph))
    predict(graph.with_nodes(nodes, graph.streams), 2)  # the fix that is named ends it


def error_of(graph: DataflowGraph) -> CheckError:
    with pytest.raises(CheckError) as caught:
        predict(graph, 2)
    return caught.value
