"""What is shown of an image's way is what the reference computes and the timing engine predicts."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbonn.errors import InputError
from arbonn.flows.commands.teach import explain as command
from arbonn.flows.explain.follow import bit_rows, follow, picture
from arbonn.flows.explain.page import as_svg, as_text
from arbonn.flows.lowering.passes import run_passes
from arbonn.flows.lowering.passes.unroll import Unroll
from arbonn.hw import graph_file
from arbonn.hw.graph import DataflowGraph
from arbonn.sim import reference
from arbonn.sim.timing import predict
from tests.networks import mlp, small_network
from tests.strategies import chains, values
from tests.strategies_images import blocks


@given(graph=chains() | blocks(), seed=st.integers(0, 99))
def test_every_step_holds_the_references_values_and_the_engines_cycles(graph: DataflowGraph, seed: int) -> None:
    source = graph.inputs[0]
    frame = values(np.random.default_rng(seed), source.dtype, source.shape)
    expected, times = reference.execute(graph, {source.id: frame[None]}), predict(graph, 1).transfers
    steps = follow(graph, frame)
    assert {s.id for s in graph.outputs} & {s.id for s in graph.streams if s.source} - {step.stream for step in steps} <= buffered(graph)
    for step in steps:
        np.testing.assert_array_equal(step.values, expected[step.stream][0])
        assert (step.first_cycle, step.last_cycle) == (times[step.stream][0], times[step.stream][-1])
    page = as_svg(steps, "a <title> & more")
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert len(ElementTree.fromstring(page).findall("{http://www.w3.org/2000/svg}g")) == len(steps)
    assert all(step.unit in as_text(steps) for step in steps)


def buffered(graph: DataflowGraph) -> set[str]:
    """Outputs that a unit gives which is left out."""
    return {s.id for s in graph.streams if s.source and graph.node(s.source.node).kind in ("FIFO", "DWC")}


@pytest.mark.parametrize(
    "graph", [small_network(), run_passes(mlp((8, 4, 4), "uint3", seed=0), (Unroll("ice40"),))], ids=["folded", "wiring"]
)
def test_the_sums_that_reach_their_threshold_are_the_ones(graph: DataflowGraph) -> None:
    frame = values(np.random.default_rng(3), graph.inputs[0].dtype, graph.inputs[0].shape)
    compared = [step for step in follow(graph, frame) if step.sums is not None and step.dtype == "BIPOLAR"]
    assert compared
    for step in compared:
        np.testing.assert_array_equal(step.values > 0, step.sums >= step.thresholds[:, 0])


def test_values_as_text() -> None:
    assert picture(np.array([[0, 4], [2, 1]])) == ["  ██", "▒▒░░"]
    assert picture(np.full((1, 2, 3), 5)) == ["    "]
    assert bit_rows(np.array([1, -1, 1]), "BIPOLAR") == ["█·█"]
    assert bit_rows(np.array([3, -7]), "INT4") == ["3 -7"]
    assert [len(row) for row in bit_rows(np.ones(784), "BINARY")] == [28] * 28


def test_an_image_is_drawn_and_one_too_many_refused(tmp_path: Path) -> None:
    graph = small_network()
    graph_file.save(graph, tmp_path)
    images = tmp_path / "images.npy"
    np.save(images, values(np.random.default_rng(1), graph.inputs[0].dtype, (3, *graph.inputs[0].shape)))
    answer = command(tmp_path, images, 2)
    assert answer.data["drawing"] == str(tmp_path / "explain.svg")
    assert answer.data["label"] in range(10)
    assert (tmp_path / "explain.svg").read_text(encoding="utf-8").startswith("<svg ")
    with pytest.raises(InputError) as error:
        command(tmp_path, images, 3)
    assert str(error.value) == "InputError: --index: 3\n  allowed  0 .. 2 (images.npy, 3 images)"
