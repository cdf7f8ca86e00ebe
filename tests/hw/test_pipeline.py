"""Levels between registers add up to those of the whole sum, and a layer has the fewest stages that a clock allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import Ports, Stream
from arbonn.hw.pipeline import pipelined, stage_levels
from arbonn.hw.units.mvau import DEPTHS, MVAU

BIPOLAR = datatype("BIPOLAR")


def layer(dtype: str, lanes: int, **changes: object) -> tuple[MVAU, Ports]:
    node = MVAU("u", np.ones((4, 2 * lanes), dtype=np.int64), BIPOLAR, thresholds=np.full((4, 1), lanes))
    ports = {"i": Stream("i", (2 * lanes,), datatype(dtype), lanes), "o": Stream("o", (4,), BIPOLAR, 2)}
    return replace(node, **changes), ports  # type: ignore[arg-type]


# A sum of 32 binary products: XNOR and full adders 2 levels (1 of LUTs of 6 inputs), 4 adders, a word of weights 3.
@pytest.mark.parametrize(
    ("changes", "levels"),
    [
        ({}, (9, 2)),
        ({"depth": 4}, (9, 1, 4)),
        ({"depth": 5}, (6, 3, 1, 4)),
        ({"depth": 6}, (5, 2, 2, 1, 4)),
        ({"depth": 4, "lut_inputs": 6}, (8, 1, 4)),
        ({"depth": 4, "thresholds": None}, (9, 1, 0)),
        ({"thresholds": None}, (9, 1)),
    ],
)
def test_levels_of_each_stage(changes: dict[str, object], levels: tuple[int, ...]) -> None:
    assert stage_levels(*layer("BIPOLAR", 32, **changes)) == levels


@given(
    dtype=st.sampled_from(["BIPOLAR", "UINT2", "INT3", "UINT8"]),
    lanes=st.integers(1, 80),
    depth=st.sampled_from(DEPTHS),
    domain=st.sampled_from(["dot", "popcount"]),
    lut_inputs=st.sampled_from([4, 6]),
)
def test_registers_only_divide_what_is_between_them(dtype: str, lanes: int, depth: int, domain: str, lut_inputs: int) -> None:
    whole, _, _ = stage_levels(*layer(dtype, lanes, depth=4, domain=domain, lut_inputs=lut_inputs))
    levels = stage_levels(*layer(dtype, lanes, depth=depth, domain=domain, lut_inputs=lut_inputs))
    assert len(levels) == depth - 1
    assert sum(levels[: max(1, depth - 3)]) == whole


@settings(max_examples=30, deadline=None)
@given(lanes=st.integers(1, 80), least=st.sampled_from(DEPTHS), levels=st.integers(0, 12), primitives=st.booleans())
def test_a_layer_gets_the_fewest_stages_that_are_short_enough(lanes: int, least: int, levels: int, primitives: bool) -> None:
    node, ports = layer("BIPOLAR", lanes, depth=least, primitives=primitives)
    chosen = pipelined(node, ports, levels)
    longest = {depth: max(stage_levels(replace(node, depth=depth), ports)) for depth in DEPTHS if depth >= least}
    assert all(longest[depth] > levels for depth in longest if depth < chosen.depth and longest[chosen.depth] <= levels)
    assert longest[chosen.depth] <= max(levels, min(longest.values()))
    assert (chosen is node) == (chosen.depth == least)
