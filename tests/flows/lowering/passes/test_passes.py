"""Each pass keeps every value that leaves the graph, and does what its docstring says."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_array_equal

from arbonn.errors import GraphError
from arbonn.flows.lowering import passes
from arbonn.flows.lowering.lower import LowerOptions
from arbonn.flows.lowering.passes import PASSES, FlipFalling, MergeThresholds, Pass, TableToThresholds, run_passes
from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import Integers, datatype, smallest
from arbonn.hw.graph import DataflowGraph, Endpoint, Stream
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.mvau import MVAU
from arbonn.sim import reference

INPUTS = ("BIPOLAR", "BINARY", "UINT2", "INT2", "INT3", "UINT4")


def layer(weights: Integers, table: Integers, kind: str, domain: str) -> DataflowGraph:
    """MVAU -> Lookup over all accumulators; values of `table` are repeated or dropped to fit."""
    dtype, source = (datatype("BIPOLAR") if domain == "popcount" else smallest(int(weights.min()), int(weights.max()))), datatype(kind)
    mvau = MVAU("mvau_0", weights, dtype, domain, origin=("fc",))
    low, high = mvau.accumulator_range(source.low, source.high, source)
    size = int(high.max() - low.min() + 1)
    table = (
        np.sort(np.resize(table, (len(weights), size)), axis=1) if (np.diff(table) >= 0).all() else np.resize(table, (len(weights), size))
    )
    lookup = Lookup("lookup_0", table, int(low.min()), origin=("act",))
    out = datatype("BIPOLAR") if set(np.unique(table)) <= {-1, 1} else smallest(int(table.min()), int(table.max()))
    streams = (
        Stream("x", (weights.shape[1],), source, 1, sink=Endpoint("mvau_0", "i")),
        Stream(
            "mvau_0_o", (len(weights),), smallest(int(low.min()), int(high.max())), 1, Endpoint("mvau_0", "o"), Endpoint("lookup_0", "i")
        ),
        Stream("lookup_0_o", (len(weights),), out, 1, Endpoint("lookup_0", "o")),
    )
    return DataflowGraph((mvau, lookup), streams, InputContract(source))


@st.composite
def layers(draw: st.DrawFn) -> DataflowGraph:
    """Layers with rising, falling and mixed rows, in both domains, for every input type."""
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    domain = draw(st.sampled_from(("popcount", "dot")))
    low, high = (0, 1) if domain == "popcount" else draw(st.sampled_from(((0, 1), (-1, 1), (-3, 3), (-8, 7))))
    weights = draw(arrays(np.int64, (rows, columns), elements=st.integers(low, high)))
    weights = 2 * weights - 1 if domain == "popcount" else weights
    values = draw(st.sampled_from((st.integers(0, 3), st.integers(-3, 20), st.sampled_from((-1, 1)))))
    graph = layer(weights, np.zeros((1, 1), np.int64), draw(st.sampled_from(INPUTS)), domain)
    lookup = graph.node("lookup_0")
    assert isinstance(lookup, Lookup)
    table = draw(arrays(np.int64, lookup.table.shape, elements=values))
    for row in range(rows):
        order = draw(st.sampled_from(("rising", "falling", "falling", "mixed")))
        if order != "mixed":
            table[row] = np.sort(table[row])[:: 1 if order == "rising" else -1]
    out = datatype("BIPOLAR") if set(np.unique(table)) <= {-1, 1} and (table == -1).any() else smallest(int(table.min()), int(table.max()))
    streams = [s if s.id != "lookup_0_o" else Stream(s.id, s.shape, out, 1, s.source) for s in graph.streams]
    return graph.with_nodes([graph.node("mvau_0"), Lookup("lookup_0", table, lookup.low, origin=("act",))], streams).verify()


def every_frame(graph: DataflowGraph) -> Integers:
    """All frames of few inputs, 500 drawn ones of many."""
    (x,) = graph.inputs
    values = x.dtype.every()
    if len(values) ** x.elements <= 500:
        return np.stack(np.meshgrid(*[values] * x.elements), axis=-1).reshape(-1, x.elements)
    return np.random.default_rng(0).choice(values, (500, x.elements))


@given(graph=layers())
def test_each_pass_keeps_every_output(graph: DataflowGraph) -> None:
    frames = every_frame(graph)
    before = reference.execute(graph, {"x": frames})["lookup_0_o"]
    for count in range(1, len(PASSES) + 1):
        after = run_passes(graph, PASSES[:count])
        (out,) = after.outputs
        assert_array_equal(reference.execute(after, {"x": frames})[out.id], before)


@given(graph=layers())
def test_passes_are_idempotent(graph: DataflowGraph) -> None:
    once = run_passes(graph, PASSES)
    twice = run_passes(once, PASSES)
    assert once.streams == twice.streams
    assert [n.kind for n in once.nodes] == [n.kind for n in twice.nodes]
    frames = every_frame(graph)
    assert_array_equal(
        reference.execute(once, {"x": frames})[once.outputs[0].id], reference.execute(twice, {"x": frames})[once.outputs[0].id]
    )


@given(
    table=arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(1, 64)), elements=st.integers(-3, 12)).map(
        lambda t: np.sort(t, axis=1)
    ),
    low=st.integers(-32, 32),
)
def test_thresholds_equal_the_table_at_every_input(table: Integers, low: int) -> None:
    ports = {
        "i": Stream("i", (len(table),), datatype("INT8"), 1),
        "o": Stream("o", (len(table),), smallest(int(table.min()), int(table.max()) + 1), 1),
    }
    old = Lookup("lookup_0", table, low)
    new = TableToThresholds().rewrite(old, ports["o"])
    assert new is not None
    assert new.id == "thresholding_0"
    assert list(new.problems(ports)) == []
    every = np.repeat(np.arange(low, low + table.shape[1])[:, None], len(table), axis=1)
    assert_array_equal(new.evaluate({"i": every}, ports)["o"], old.evaluate({"i": every}, ports)["o"])


def test_golden_falling_row() -> None:
    """Two rows of three bipolar inputs: popcounts 0 .. 3; the second row falls."""
    weights = np.array([[1, -1, 1], [1, 1, -1]])
    graph = layer(weights, np.array([[0]]), "BIPOLAR", "popcount")
    table = np.array([[-1, -1, 1, 1], [1, -1, -1, -1]])
    streams = [s if s.id != "lookup_0_o" else Stream(s.id, s.shape, datatype("BIPOLAR"), 1, s.source) for s in graph.streams]
    graph = graph.with_nodes([graph.node("mvau_0"), Lookup("lookup_0", table, 0, origin=("act",))], streams)
    flipped = run_passes(graph, [FlipFalling()])
    mvau, lookup = flipped.nodes
    assert isinstance(mvau, MVAU)
    assert isinstance(lookup, Lookup)
    assert mvau.weights.tolist() == [[1, -1, 1], [-1, -1, 1]]
    assert lookup.table.tolist() == [[-1, -1, 1, 1], [-1, -1, -1, 1]]
    merged = run_passes(flipped, [TableToThresholds(), MergeThresholds()])
    (mvau,) = merged.nodes
    assert isinstance(mvau, MVAU)
    assert mvau.thresholds is not None
    assert (mvau.thresholds.tolist(), mvau.offset, mvau.origin) == ([[2], [3]], 0, ("fc", "act"))
    assert [(s.id, str(s.dtype)) for s in merged.streams] == [("x", "BIPOLAR"), ("mvau_0_o", "BIPOLAR")]


def test_a_table_that_neither_rises_nor_falls_stays() -> None:
    graph = layer(np.array([[1, 1]]), np.array([[0, 1, 0]]), "BIPOLAR", "popcount")
    assert [n.kind for n in run_passes(graph, PASSES).nodes] == ["MVAU", "Lookup"]


def test_the_runner_verifies_after_every_pass() -> None:
    @dataclass(frozen=True)
    class Breaks(Pass):
        """Drops the last stream."""

        name: ClassVar[str] = "breaks"

        def apply(self, graph: DataflowGraph) -> DataflowGraph:
            return graph.with_nodes(graph.nodes, graph.streams[:-1])

    graph = layer(np.array([[1, 1]]), np.array([[0, 1, 0]]), "BIPOLAR", "popcount")
    with pytest.raises(GraphError, match=r"output port lookup_0\.o is on 0 streams"):
        run_passes(graph, [Breaks()])


class Outside(Pass):
    name = "outside"

    def apply(self, graph: DataflowGraph) -> DataflowGraph:
        return graph


def test_a_pass_from_outside_runs_after_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("outside", f"{__name__}:OUTSIDE", "arbonn.passes")
    monkeypatch.setattr(EntryPoint, "load", lambda self: Outside())
    monkeypatch.setattr(passes, "entry_points", lambda **wanted: EntryPoints([point]).select(**wanted))
    assert [p.name for p in LowerOptions().passes] == [*(p.name for p in PASSES), "outside"]
