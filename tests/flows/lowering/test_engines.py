"""More stages and sums of cells change no value and no interval, only the latency: by a cycle for each stage and layer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbonn.errors import InputError
from arbonn.flows.buffers import size_buffers
from arbonn.flows.fold import measure
from arbonn.flows.lowering.passes import run_passes
from arbonn.flows.lowering.passes.engines import Engines
from arbonn.flows.options import LowerOptions
from arbonn.flows.target import Target, clocked_for, engines_for
from arbonn.hw.boards import any_board
from arbonn.hw.popcount import LUT_INPUTS
from arbonn.hw.units.mvau import DEPTHS, MVAU
from arbonn.sim.reference import execute
from arbonn.sim.timing import figures, predict
from tests.networks import small_network
from tests.strategies import values


@given(stages=st.integers(0, 20), primitives=st.booleans(), lut_inputs=st.sampled_from(LUT_INPUTS))
def test_layers_are_as_asked_and_values_as_they_were(stages: int, primitives: bool, lut_inputs: int) -> None:
    graph = small_network()
    made = run_passes(graph, (Engines(stages, primitives, lut_inputs),))
    before, after = ([n for n in g.nodes if isinstance(n, MVAU)] for g in (graph, made))
    for old, new in zip(before, after, strict=True):
        assert new.depth == max(old.depth, min(3 + stages, DEPTHS[-1]))
        assert new.lut_inputs == lut_inputs
        assert new.primitives == (primitives and new.domain == "popcount")
    (x,) = graph.inputs
    frames = {x.id: values(np.random.default_rng(0), x.dtype, (4, *x.shape))}
    expected, found = execute(graph, frames), execute(made, frames)
    assert all((expected[y.id] == found[y.id]).all() for y in graph.outputs)
    slow, fast = (figures(g, predict(g, 12)) for g in (graph, made))
    assert fast.latency - slow.latency == sum(new.depth - old.depth for old, new in zip(before, after, strict=True))
    assert fast.interval == slow.interval


@pytest.mark.parametrize(("board", "lut_inputs"), [("icebreaker", 4), ("ulx3s-85f", 4), ("pynq-z2", 6), ("zcu104", 6)])
def test_sums_are_for_the_boards_luts(board: str, lut_inputs: int) -> None:
    made = engines_for(small_network(), LowerOptions(board=board))
    assert {node.lut_inputs for node in made.nodes if isinstance(node, MVAU)} == {lut_inputs}


@pytest.mark.parametrize(("clock_mhz", "depths"), [(None, [3, 3]), (55.0, [3, 3]), (100.0, [6, 3])])
def test_layers_have_the_stages_that_the_clock_needs(clock_mhz: float | None, depths: list[int]) -> None:
    found = measure(size_buffers(small_network(), {"mvau_0": {"PE": 2, "SIMD": 8}, "mvau_1": {"PE": 2, "SIMD": 2}}), "ecp5")
    made = clocked_for(found, Target(any_board("ulx3s-85f"), clock_mhz=clock_mhz))
    assert [node.depth for node in made.graph.nodes if isinstance(node, MVAU)] == depths
    assert made.interval == found.interval
    assert (made is found) == (depths == [3, 3])


def test_cells_are_for_amds_boards() -> None:
    with pytest.raises(InputError) as caught:
        engines_for(small_network(), LowerOptions(board="icebreaker", primitives=True))
    assert str(caught.value) == (
        "InputError: --primitives: board icebreaker (ice40)\n  allowed  boards of xc7 and xcup devices\n  fix      leave it out"
    )
