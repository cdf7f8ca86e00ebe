"""The comparison has teeth: it calls a tie what rounding explains, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.flows.lowering.importer import import_model
from arbonn.flows.lowering.layers import Built, build
from arbonn.flows.lowering.lower import drawn_frames
from arbonn.flows.lowering.passes import PASSES, run_passes
from arbonn.flows.lowering.segments import cut
from arbonn.flows.lowering.tie_bound import Bounds, linear_interval
from arbonn.flows.lowering.verify import verify
from arbonn.hw.contract import parse_contract
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.mvau import MVAU
from tests.flows.networks import Builder, Case, cases, draw_layers, perceptron


def lowered(model, contract: str) -> tuple[Built, DataflowGraph]:  # type: ignore[no-untyped-def]
    built = build(cut(import_model(model, "net.onnx")), parse_contract(contract), "both")
    return built, run_passes(built.graph, PASSES)


def changed(graph: DataflowGraph, name: str, **fields: object) -> DataflowGraph:
    return graph.with_nodes([replace(n, **fields) if n.id == name else n for n in graph.nodes], graph.streams).verify()  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def case() -> tuple[Built, DataflowGraph]:
    layers = draw_layers(5, [16, 12, 8, 4], 1, "sign", norm=True, bias=False, gemm=False, dyadic=False)
    return lowered(perceptron(layers, 16), "uint4,scale=1/15")


def test_one_wrong_weight_is_a_mismatch_at_its_node(case: tuple[Built, DataflowGraph]) -> None:
    built, graph = case
    frames = drawn_frames(graph.contract, 16, 200, 0)
    assert verify(graph, built, frames).mismatches == []
    node = graph.node("mvau_1")
    assert isinstance(node, MVAU)
    assert node.thresholds is not None
    row = int(np.abs(node.thresholds[:, 0] - 6).argmin())  # a neuron that is not always the same
    weights = node.weights.copy()
    weights[row, 4] *= -1
    result = verify(changed(graph, "mvau_1", weights=weights), built, frames)
    assert {(m.node, m.channel) for m in result.mismatches if m.node != "label"} == {("mvau_1", row)}
    first = result.mismatches[0]
    assert result.first_mismatch == f"mvau_1, channel {row}, sample {first.sample}: {first.ours}, the file has {-first.ours}"
    assert result.ties == []


def test_one_wrong_threshold_is_a_mismatch(case: tuple[Built, DataflowGraph]) -> None:
    built, graph = case
    node = graph.node("mvau_1")
    assert isinstance(node, MVAU)
    assert node.thresholds is not None
    thresholds = node.thresholds.copy()
    row = int(np.abs(thresholds[:, 0] - 6).argmin())
    thresholds[row] += 1
    result = verify(changed(graph, "mvau_1", thresholds=thresholds), built, drawn_frames(graph.contract, 16, 300, 0))
    assert {(m.node, m.channel) for m in result.mismatches if m.node != "label"} == {("mvau_1", row)}


def test_a_wrong_logit_is_a_mismatch_though_all_integers_before_are_right(case: tuple[Built, DataflowGraph]) -> None:
    built, graph = case
    node = graph.node("lookup_2")
    assert isinstance(node, Lookup)
    table = node.table.copy()
    table[0] = table.max()
    frames = drawn_frames(graph.contract, 16, 100, 0)
    result = verify(changed(graph, "lookup_2", table=table), built, frames)
    assert {m.node for m in result.mismatches} == {"lookup_2", "label"}
    assert result.labels_equal < 100
    winners = verify(graph, built, frames)
    assert winners.labels_equal == 100
    table[0] = table[1].min() - 1  # too small: a class that was not the first anyway still stands in the wrong order
    result = verify(changed(graph, "lookup_2", table=table), built, frames[:2])
    assert {m.node for m in result.mismatches} >= {"lookup_2"}


def test_a_wrong_scale_of_the_last_layer_is_a_mismatch_though_it_orders_alike(case: tuple[Built, DataflowGraph]) -> None:
    built, graph = case
    last = replace(built.layers[-1], scale=built.layers[-1].scale * 1.001)
    result = verify(graph, replace(built, layers=(*built.layers[:-1], last)), drawn_frames(graph.contract, 16, 50, 0))
    assert {m.node for m in result.mismatches} == {"lookup_2"}
    assert result.labels_equal == 50


def test_values_that_touch_a_threshold_are_ties() -> None:
    """Weights of 0.1 and a bias at an exact level: the float32 sum lands above or below it by an ulp, as the order of summation wants."""
    random = np.random.default_rng(0)
    signs = np.where(random.random((8, 64)) < 0.5, -1, 1)
    b = Builder(("batch", 64)).then("MatMul", (signs * 0.1).T)
    b.then("Sub", np.float64(0.1) * random.choice([-2, 0, 2], 8)).then("BipolarQuant", np.float32(1)).then("MatMul", np.eye(8) * 2 - 1)
    built, graph = lowered(b.model(), "bipolar,scale=0.7")
    result = verify(graph, built, drawn_frames(graph.contract, 64, 500, 0))
    assert result.mismatches == []
    assert len(result.ties) > 20
    assert {t.node for t in result.ties} <= {"mvau_0", "label"}
    assert result.labels_equal + len({t.sample for t in result.ties}) >= 500


@settings(max_examples=30)
@given(case=cases(), seed=st.integers(0, 99))
def test_every_float_value_of_the_file_lies_within_the_bound(case: Case, seed: int) -> None:
    """What the bound says of linear operators, and of whole regions where no quantizer jumps: the last ones."""
    built, graph = lowered(case.model(), case.contract)
    network = built.network
    frames = drawn_frames(graph.contract, case.inputs, 20, seed)
    file = network.execute(graph.contract.values(frames))
    for layer, point in zip(built.layers, built.points, strict=True):
        codes = point.integers(file[point.tensor].reshape(len(frames), -1))
        low, high = linear_interval(layer, codes)
        seen = file[layer.output].reshape(low.shape)
        assert (low <= seen).all()
        assert (seen <= high).all()
        assert (high - low <= 1e-4 * (np.abs(seen) + 10)).all(), "a bound that allows everything proves nothing"
    bounds = Bounds(network, built.layers, {})
    for point in built.points:
        bounds.learn(point, point.integers(file[point.tensor].reshape(len(frames), -1)))
    low, high = bounds.of(built.logits)
    assert (low <= file[built.logits]).all()
    assert (file[built.logits] <= high).all()
