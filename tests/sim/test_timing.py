"""The timing engine against what can be worked out by hand; its agreement with RTL stands in `tests/hw`."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbonn.errors import CheckError
from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import DataflowGraph, Endpoint, Node, Stream
from arbonn.hw.units.dwc import DWC
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.mvau import MVAU
from arbonn.sim.timing import figures, interval, predict
from arbonn.sim.trace import Stalls
from tests.networks import small_network
from tests.strategies import chains
from tests.strategies_images import blocks

BIT = datatype("BINARY")


def between(node: Node, i: Stream, o: Stream) -> DataflowGraph:
    """One unit between an input and an output."""
    return DataflowGraph((node,), (i, o), InputContract(i.dtype)).verify()


def mvau(nf: int, sf: int, depth: int) -> DataflowGraph:
    node = MVAU("u", np.ones((nf, sf), np.int64), datatype("BIPOLAR"), depth=depth)
    o = Stream("y", (nf,), datatype("UINT8"), 1, Endpoint("u", "o"))
    return between(node, Stream("x", (sf,), datatype("BIPOLAR"), 1, None, Endpoint("u", "i")), o)


@given(nf=st.integers(1, 6), sf=st.integers(1, 6), depth=st.sampled_from([3, 4]))
def test_an_mvau_keeps_its_contract(nf: int, sf: int, depth: int) -> None:
    graph = mvau(nf, sf, depth)
    trace = predict(graph, 4)
    assert figures(graph, trace).first_out == sf - 1 + depth
    assert figures(graph, trace).latency == nf * sf - 1 + depth
    assert figures(graph, trace).interval == nf * sf
    assert set(np.diff(trace.transfers["y"])) <= {sf}  # no gap, not even between frames


@given(ratio=st.integers(2, 6))
def test_a_dwc_keeps_its_contract(ratio: int) -> None:
    def dwc(taken: int, given_: int) -> DataflowGraph:
        i = Stream("x", (2 * ratio,), BIT, taken, None, Endpoint("u", "i"))
        return between(DWC("u"), i, Stream("y", (2 * ratio,), BIT, given_, Endpoint("u", "o")))

    up, down = predict(dwc(1, ratio), 3), predict(dwc(ratio, 1), 3)
    assert up.transfers["y"].tolist() == [ratio * (k + 1) for k in range(6)]
    assert down.transfers["y"].tolist() == list(range(1, 6 * ratio + 1))
    assert down.transfers["x"].tolist() == [ratio * k for k in range(6)]


@pytest.mark.parametrize(("depth", "gap"), [(1, 2), (2, 1), (5, 1)])
def test_a_fifo_of_one_word_halves_the_rate(depth: int, gap: int) -> None:
    i, o = Stream("x", (4,), BIT, 1, None, Endpoint("u", "i")), Stream("y", (4,), BIT, 1, Endpoint("u", "o"))
    trace = predict(between(FIFO("u", depth), i, o), 3)
    assert trace.transfers["y"][0] == 1
    assert set(np.diff(trace.transfers["y"])) == {gap}


def test_a_source_offers_when_its_pattern_lets_it_and_a_sink_takes_when_its_does() -> None:
    graph = small_network()
    go = {"x": np.array([0, 0, 0, 1], bool), "label": np.zeros(500, bool)}
    trace = predict(graph, 1, Stalls(go, 0.5, 0))
    assert trace.transfers["x"][0] == 3
    assert trace.transfers["label"].tolist() == [500]


def test_deadlock_is_told_from_a_long_stall() -> None:
    graph = small_network()
    with pytest.raises(CheckError) as caught:
        predict(graph, 3, Stalls({"label": np.zeros(900, bool)}, 0.5, 0), limit=600)
    assert str(caught.value) == (
        "CheckError: timing: not finished after 600 cycles (label 0 of 3, logits 2 of 6 transfers)\n  allowed  a higher limit"
    )
    never = DataflowGraph(
        (_Stuck("u", np.ones((2, 2), np.int64), datatype("BIPOLAR")),), mvau(2, 2, 3).streams, InputContract(datatype("BIPOLAR"))
    )
    with pytest.raises(CheckError) as caught:
        predict(never, 2)
    assert str(caught.value) == (
        "CheckError: timing: deadlock in cycle 6 (y 1 of 4 transfers): u waits for its count of held\n"
        "  allowed  graphs in which every unit can go on"
    )


class _Stuck(MVAU):
    """Waits for a level that its counter never reaches."""

    def control(self, ports):  # type: ignore[no-untyped-def]
        from dataclasses import replace

        from arbonn.hw.schedule import Control, Need

        (schedule,) = super().control(ports).schedules
        return Control((replace(schedule, needs=(Need("held", 1, (1, 0), 0),)),), {"held": 0})


@pytest.mark.parametrize(
    ("gaps", "interval"), [([5, 5, 5, 5], Fraction(5)), ([9, 9, 2, 3, 2, 3, 2, 3], Fraction(5, 2)), ([1, 2, 4, 8], Fraction(6))]
)
def test_the_interval_is_over_one_period(gaps: list[int], interval: Fraction) -> None:
    graph = mvau(1, 1, 3)
    from arbonn.sim.trace import Trace

    ends = np.cumsum([3, *gaps])
    assert figures(graph, Trace({"x": np.zeros(1, np.int64), "y": ends}, 100)).interval == interval


@given(graph=chains() | blocks())
def test_the_interval_at_which_the_state_comes_back_is_that_of_many_frames(graph: DataflowGraph) -> None:
    frames = 8 + 2 * len(graph.nodes)
    assert interval(graph, frames) == figures(graph, predict(graph, 4 * frames)).interval
