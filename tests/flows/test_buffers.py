"""FIFOs where branches part and meet again: as deep as the rate needs, and deep enough for any stalls."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.errors import CheckError
from arbonn.flows.buffers import CUT_DEPTH, CUT_EVERY, busy_cycles, deadlocks, interval, size_buffers
from arbonn.flows.folding import apply_folding, unbuffered
from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.concat import Concat
from arbonn.hw.units.duplicate_streams import DuplicateStreams
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.swg import SWG
from arbonn.hw.units.thresholding import Thresholding
from arbonn.sim.timing import predict
from arbonn.sim.trace import Stalls, draw_stalls
from tests.flows.branched import Branched, branched, resnet
from tests.flows.lowering.test_lower_conv import lowered
from tests.graph_builder import GraphBuilder

SLOW = 30  # cycles between the words of a source, in which all that can move does


def side_by_side(channels: int, units: int) -> DataflowGraph:
    """Each word goes two ways, one through `units` pipelines of two stages, and the join takes one branch's channels before the other's."""
    bits = datatype("UINT4"), datatype("UINT1")
    b = GraphBuilder(((channels,), bits[0], 1))
    first, second = b.add(DuplicateStreams("fork"), {"i": "x"}, dict.fromkeys(("o0", "o1"), b.port("x")))
    thresholds = np.full((channels, 1), 7)
    for k in range(units):
        second = b.chain(Thresholding(f"t{k}", thresholds if k == 0 else np.ones_like(thresholds)), second, ((channels,), bits[1], 1))
    first = b.chain(Thresholding("u", thresholds), first, ((channels,), bits[1], 1))
    b.add(Concat("join"), {"i0": first, "i1": second}, {"o": ((2 * channels,), bits[1], 1)})
    return b.graph()


def ends(graph: DataflowGraph, frames: int, stalls: Stalls | None = None) -> bool:
    try:
        return predict(graph, frames, stalls).cycles > 0
    except CheckError:
        return False


def slow_source(graph: DataflowGraph, frames: int) -> Stalls:
    (x,) = graph.inputs
    return Stalls({x.id: np.arange(frames * x.transfers * SLOW) % SLOW == 0}, 1 - 1 / SLOW, 0)


@given(channels=st.integers(2, 9), units=st.integers(1, 3), depth=st.integers(0, 9), seed=st.integers(0, 99), p=st.floats(0, 0.95))
def test_pipelines_of_one_stage_hold_what_a_slow_source_leaves_in_them(channels: int, units: int, depth: int, seed: int, p: float) -> None:
    plain = side_by_side(channels, units)
    graph = apply_folding(plain, {}, {f"t{units - 1}_o": depth})
    assert deadlocks(graph, 3) != ends(graph, 3, slow_source(graph, 3))
    if not deadlocks(graph, 3):
        assert ends(graph, 3, draw_stalls(graph, p, seed, 40 * channels))


@settings(max_examples=20)
@given(channels=st.integers(2, 40), units=st.integers(1, 3))
def test_a_branch_that_waits_holds_what_the_join_does_not_take(channels: int, units: int) -> None:
    """And no word more: with one less it is slower, or a source that is not always full stops it for ever."""
    graph = size_buffers(side_by_side(channels, units), {})
    assert interval(graph) == 2 * channels
    assert ends(graph, 3, slow_source(graph, 3))
    depths = {graph.ports(node)["i"].id: node.depth for node in graph.nodes if isinstance(node, FIFO)}
    for stream, depth in depths.items():
        less = apply_folding(unbuffered(graph), {}, {**depths, stream: depth - 1})
        assert interval(less) != 2 * channels or not ends(less, 3, slow_source(less, 3)), stream


@settings(max_examples=8)
@given(case=branched(), seed=st.integers(0, 99), p=st.sampled_from([0.1, 0.5, 0.9]))
def test_no_stalls_make_a_network_deadlock(case: tuple[onnx.ModelProto, str], seed: int, p: float) -> None:
    graph = size_buffers(unbuffered(lowered(*case)[1]), {})
    assert ends(graph, 3, draw_stalls(graph, p, seed, predict(graph, 3).cycles * 4))


@pytest.fixture(scope="module")
def residual() -> DataflowGraph:
    """A lowered ResNet of two stages, one of which halves the image."""
    return unbuffered(lowered(resnet(1, (2, 4), 6, bits=2), "uint8,scale=1/255")[1])


@pytest.mark.parametrize("folding", [{}, {"mvau_1": {"PE": 2, "SIMD": 6}, "swg_1": {"SIMD": 2}, "mvau_2": {"PE": 1, "SIMD": 3}}])
def test_one_word_less_on_any_fifo_of_a_residual_network_costs_cycles(residual: DataflowGraph, folding: dict[str, dict[str, int]]) -> None:
    graph = size_buffers(residual, folding)
    busiest = max(busy_cycles(graph).values())
    assert interval(graph) == busiest
    depths = {_plain(graph, graph.ports(n)["i"].id): n.depth for n in graph.nodes if isinstance(n, FIFO)}
    sized = unbuffered(graph)
    mvaus = [n for n in sized.ordered() if isinstance(n, MVAU)]
    cuts = {sized.ports(n)["i"].id for n in mvaus[CUT_EVERY::CUT_EVERY]}  # these only shorten the ready chain
    assert sum(name.startswith("duplicate_streams") for name in depths) >= 3
    for name, depth in depths.items():
        if name not in cuts or depth != CUT_DEPTH:
            tighter = apply_folding(sized, folding, {**depths, name: depth - 1})
            less = interval(tighter)
            assert less is None or less > busiest or deadlocks(tighter, 20), name
    for unit in sized.nodes:
        if isinstance(unit, SWG) and unit.pixels > unit.sizes(apply_folding(sized, folding).ports(unit))[0]:
            tighter = sized.with_nodes([unit.sized(unit.pixels - 1) if n is unit else n for n in sized.nodes], sized.streams)
            assert interval(apply_folding(tighter, folding, depths)) != busiest, unit.id


def test_branches_that_drift_apart_by_a_few_cycles_a_frame_never_deadlock() -> None:
    """A pool beside two layers: with the FIFOs of a short run, frame 13 was the first that could not go on."""
    b = Branched((1, 5, 5), 23)
    b.quant(0.5, 3)
    start = b.at
    b.same(1, 1, bits=2).norm().quant(0.5, 2)
    way = b.at
    b.back(start).window("AveragePool", (), 1, [3, 3], pads=[1] * 4, count_include_pad=1).quant(0.5, 3).add(way).add(start)
    b.activation("sign").same(2).norm().quant(0.5, 2).flat().dense(3)
    graph = size_buffers(unbuffered(lowered(b.model(), "uint4,scale=0.1,zero=7")[1]), {"mvau_2": {"SIMD": 2}, "swg_2": {"SIMD": 2}})
    assert interval(graph, 100) == max(busy_cycles(graph).values())


def _plain(graph: DataflowGraph, name: str) -> str:
    stream = graph.stream(name)
    while stream.source and graph.node(stream.source.node).kind in ("DWC", "FIFO"):
        stream = graph.ports(graph.node(stream.source.node))["i"]
    return stream.id
