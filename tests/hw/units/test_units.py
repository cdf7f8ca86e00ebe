"""Every unit, whatever its shapes, types, folds and stalls: the RTL's bits are `evaluate`'s and its cycles the timing engine's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.hw.graph import DataflowGraph
from arbonn.hw.packing import unpack
from arbonn.hw.units import unit_kinds
from arbonn.sim.reference import execute
from arbonn.sim.timing import predict
from arbonn.sim.trace import draw_stalls
from tests.rtl import run_rtl
from tests.strategies import chains, seeds, values
from tests.strategies_images import UNITS, blocks

IDLE = 20  # cycles watched after the last predicted transfer, for stray ones


def assert_exact(graph: DataflowGraph, frames: int, probability: float, seed: int) -> None:
    """Bits and cycles of every transfer on every stream are as predicted, and every stream holds while it waits."""
    random = np.random.default_rng(seed)
    inputs = {s.id: values(random, s.dtype, (frames, *s.shape)) for s in graph.inputs}
    stalls = draw_stalls(graph, probability, seed, 3000)
    predicted, expected = predict(graph, frames, stalls), execute(graph, inputs)
    seen = run_rtl(graph, inputs, stalls, predicted.cycles + IDLE)
    assert seen.violations == ()
    for s in graph.streams:
        assert seen.transfers[s.id].tolist() == predicted.transfers[s.id].tolist(), s.id
        assert unpack(seen.payloads[s.id], s).reshape(frames, *s.shape).tolist() == expected[s.id].tolist(), s.id


OURS = sorted(name for name, kind in unit_kinds().items() if kind.__module__.startswith("arbonn.hw.units."))  # tests define more


@pytest.mark.parametrize("kind", OURS)
@settings(max_examples=12, deadline=None)
@given(data=st.data(), frames=st.integers(1, 4), probability=st.sampled_from([0.0, 0.3, 0.9]), seed=seeds)
def test_a_unit_is_exact(kind: str, data: st.DataObject, frames: int, probability: float, seed: int) -> None:
    assert_exact(data.draw(UNITS.get(kind, chains(longest=1, first=kind))), frames, probability, seed)


@settings(max_examples=40, deadline=None)
@given(graph=chains(), frames=st.integers(1, 4), probability=st.sampled_from([0.0, 0.3, 0.9]), seed=seeds)
def test_a_chain_is_exact(graph: DataflowGraph, frames: int, probability: float, seed: int) -> None:
    assert_exact(graph, frames, probability, seed)


@settings(max_examples=20, deadline=None)
@given(graph=blocks(), frames=st.integers(1, 3), probability=st.sampled_from([0.0, 0.3, 0.9]), seed=seeds)
def test_a_forked_graph_is_exact(graph: DataflowGraph, frames: int, probability: float, seed: int) -> None:
    assert_exact(graph, frames, probability, seed)
