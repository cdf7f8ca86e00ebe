"""What units with images or several streams document of their time, and the figures that need no engine to be known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.errors import GraphError
from arbonn.flows.buffers import busy
from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import DataflowGraph, Node, Ports
from arbonn.hw.units.acc_pool import AccPool
from arbonn.hw.units.add_streams import AddStreams
from arbonn.hw.units.concat import Concat
from arbonn.hw.units.fm_padding import FMPadding
from arbonn.hw.units.max_pool import MaxPool
from arbonn.hw.units.sparse_mvau import SparseMVAU
from arbonn.hw.units.window import Windowed
from arbonn.sim.timing import figures, predict
from tests.strategies_images import UNITS, alone


def windowed(stages: int) -> Callable[[Node, Ports], int]:
    def first_out(node: Node, ports: Ports) -> int:
        assert isinstance(node, Windowed)
        taps, group, _ = node.window
        return (taps - 1) * (group or ports["o"].shape[-1]) // ports["o"].lanes + stages

    return first_out


FIRST_OUT: dict[str, Callable[[Node, Ports], int]] = {
    "SWG": lambda node, ports: 2,
    "MaxPool": windowed(1),
    "AccPool": windowed(1),
    "VVAU": windowed(2),
    "FMPadding": lambda node, ports: 2,
    "UnrolledMVAU": lambda node, ports: node.depth,  # type: ignore[attr-defined]
    "SparseMVAU": lambda node, ports: node.folds(ports)[2] + node.folds(ports)[1] - 1 + node.depth,  # type: ignore[attr-defined]
    **{kind: lambda node, ports: 1 for kind in ("AddStreams", "DuplicateStreams", "Concat", "Split", "Shuffle")},
}


@pytest.mark.parametrize("kind", UNITS)
@settings(max_examples=25)
@given(data=st.data())
def test_time_is_as_documented(kind: str, data: st.DataObject) -> None:
    """Every unit's interval is its longest stream, or its steps: none has a bubble between folds, pixels or frames.

    An SWG has none with room enough.
    """
    graph: DataflowGraph = data.draw(UNITS[kind])
    (node,) = graph.nodes
    ports = graph.ports(node)
    if node.sizes(ports):
        graph = graph.with_nodes([node.sized(node.sizes(ports)[-1])], graph.streams)
    found = figures(graph, predict(graph, 10))
    assert found.first_out == FIRST_OUT[kind](node, ports)
    steps = ports["o"].transfers * node.folds(ports)[1] if isinstance(node, SparseMVAU) else 0
    assert found.interval == max(steps, *(s.transfers for s in ports.values())) == busy(node, ports)


INT3, TERNARY, BIT = datatype("INT3"), datatype("TERNARY"), datatype("BIPOLAR")
WRONG = [
    (MaxPool("u", 4), {"i": ((9, 2), INT3, 1), "o": ((2,), INT3, 1)}, "i (9, 2) and o (2,) for windows of 4 taps"),
    (AccPool("u", 4), {"i": ((4, 2), INT3, 1), "o": ((2,), INT3, 1)}, "sums -16 .. 12 in INT3"),
    (AddStreams("u"), {"i0": ((2,), INT3, 1), "i1": ((2,), INT3, 1), "o": ((2,), INT3, 1)}, "sums -8 .. 6 in INT3"),
    (Concat("u"), {"i0": ((2,), INT3, 1), "i1": ((2,), INT3, 1), "o": ((3,), INT3, 1)}, "parts of [2, 2] channels and o of 3"),
    (
        FMPadding("u", (1, 1, 1, 1)),
        {"i": ((1, 1, 1), BIT, 1), "o": ((3, 3, 1), BIT, 1)},
        "padding by 0 in BIPOLAR (o may be TERNARY)",
    ),
    (
        FMPadding("u", (0, 0, 0, 0)),
        {"i": ((1, 1, 1), INT3, 1), "o": ((1, 1, 1), TERNARY, 1)},
        "i INT3 and o TERNARY (the same type, or BIPOLAR to TERNARY)",
    ),
]


@pytest.mark.parametrize(("node", "streams", "problem"), WRONG)
def test_what_is_not_legal_is_said(node: Node, streams: dict[str, object], problem: str) -> None:
    with pytest.raises(GraphError) as caught:
        alone(node, streams)  # type: ignore[arg-type]
    assert caught.value.found == f"u ({node.kind}): {problem}"
