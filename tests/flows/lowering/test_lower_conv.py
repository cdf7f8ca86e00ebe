"""Convolutions, poolings and padding lower exactly, whatever their order in the file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from arbonn.errors import LoweringError
from arbonn.flows.lowering.importer import import_model
from arbonn.flows.lowering.layers import Built, build
from arbonn.flows.lowering.lower import LowerOptions, drawn_frames, frames_of, lower
from arbonn.flows.lowering.passes import PASSES, run_passes
from arbonn.flows.lowering.segments import cut
from arbonn.flows.lowering.tie_bound import linear_interval
from arbonn.flows.lowering.verify import verify
from arbonn.hw.contract import parse_contract
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.swg import SWG
from arbonn.hw.units.vvau import VVAU
from arbonn.sim import reference
from tests.flows.images import Images, cnv, images
from tests.hw.units.test_units import assert_exact

REFUSED = "neither rises nor falls"  # all that the strategy may draw and that does not lower


def lowered(model: onnx.ModelProto, contract: str) -> tuple[Built, DataflowGraph]:
    built = build(cut(import_model(model, "net.onnx")), parse_contract(contract), "both")
    return built, run_passes(built.graph, PASSES)


def lowered_if_it_does(model: onnx.ModelProto, contract: str) -> tuple[Built, DataflowGraph] | None:
    try:
        return lowered(model, contract)
    except LoweringError as error:
        if REFUSED in error.found:
            return None
        raise


def assert_equal_to_file(model: onnx.ModelProto, contract: str, frames: int = 20) -> DataflowGraph:
    """The graph, after a comparison that found nothing but ties."""
    built, graph = lowered(model, contract)
    seen = verify(graph, built, drawn_frames(graph.contract, graph.inputs[0].elements, frames, 0))
    assert seen.mismatches == []
    assert seen.labels_equal + len({t.sample for t in seen.ties}) >= frames
    return graph


@settings(max_examples=60)
@given(case=images(), seed=st.integers(0, 99))
def test_graph_equals_the_file_under_the_tie_rule(case: tuple[onnx.ModelProto, str], seed: int) -> None:
    result = lowered_if_it_does(*case)
    assume(result is not None)
    assert result
    built, graph = result
    seen = verify(graph, built, drawn_frames(graph.contract, graph.inputs[0].elements, 8, seed))
    assert seen.mismatches == []
    assert seen.labels_equal + len({t.sample for t in seen.ties}) >= 8


@settings(max_examples=25)
@given(case=images(), seed=st.integers(0, 99))
def test_every_convolution_of_the_file_lies_within_the_bound(case: tuple[onnx.ModelProto, str], seed: int) -> None:
    result = lowered_if_it_does(*case)
    assume(result is not None)
    assert result
    built, graph = result
    codes = drawn_frames(graph.contract, graph.inputs[0].elements, 6, seed).reshape(-1, *graph.inputs[0].shape)
    network = built.network
    order = built.order.reshape(-1)
    file = network.execute(graph.contract.values(codes).reshape(6, -1)[:, order])
    for layer, point in zip(built.layers, built.points, strict=True):
        low, high = linear_interval(layer, point.integers(point.on_stream(file[point.tensor])))
        seen = file[layer.output].reshape(6, -1)
        rows = layer.linear.order.reshape(-1)  # of each of the file's elements, its place in the bounds
        assert (low.reshape(6, -1)[:, rows] <= seen).all()
        assert (seen <= high.reshape(6, -1)[:, rows]).all()
        assert (high - low <= 1e-4 * (np.abs(low) + 10)).all(), "a bound that allows everything proves nothing"


def dyadic() -> Images:
    """Scales are powers of two and sums are small: float32 execution is exact, so there are no ties."""
    b = Images((2, 5, 4), 5)
    b.then("Conv", np.where(np.arange(3 * 2 * 9).reshape(3, 2, 3, 3) % 4 < 2, 0.5, -0.5), pads=[1, 1, 1, 1])
    b.then("MaxPool", kernel_shape=[2, 2], strides=[2, 1]).then("BipolarQuant", np.float32(1)).then("Flatten")
    return b.then("MatMul", np.where(np.arange(18 * 4).reshape(18, 4) % 5 < 2, 0.25, -0.25))  # type: ignore[return-value]


@pytest.mark.parametrize("channels_last", [False, True])
def test_images_are_nchw_whatever_the_file_does_with_them(tmp_path: Path, channels_last: bool) -> None:
    model = dyadic().model()
    if channels_last:  # the file's own input is NHWC; data are NCHW or flat all the same
        model.graph.input[0].CopyFrom(onnx.helper.make_tensor_value_info("nhwc", onnx.TensorProto.FLOAT, ("batch", 5, 4, 2)))
        model.graph.node.insert(0, onnx.helper.make_node("Transpose", ["nhwc"], ["x"], "first", perm=[0, 3, 1, 2]))
    path = tmp_path / "net.onnx"
    onnx.save(model, path)
    pictures = np.random.default_rng(0).integers(0, 16, (40, 2, 5, 4))
    network = import_model(model, "net.onnx")
    floats = pictures.astype(np.float32) / 16
    labels = network.execute(floats.transpose(0, 2, 3, 1) if channels_last else floats)[network.output].argmax(axis=1)
    assert len(set(labels.tolist())) > 2
    for samples in (pictures, pictures.reshape(40, -1)):
        result = lower(path, LowerOptions(input="uint4,scale=1/16", samples=samples))
        assert (result.verification.mismatches, result.verification.ties, result.verification.labels_equal) == ([], [], 40)
        seen = reference.execute(result.graph, {"x": pictures.transpose(0, 2, 3, 1)})["label"][:, 0]
        assert_array_equal(seen, labels)


def test_samples_are_turned_to_the_order_of_the_input() -> None:
    graph = lowered(dyadic().model(), "uint4,scale=1/16")[1]
    pictures = np.random.default_rng(0).integers(0, 16, (3, 2, 5, 4))
    for samples in (pictures, pictures.reshape(3, -1), pictures / np.float32(16)):
        assert_array_equal(frames_of(graph, LowerOptions(samples=samples), "net.onnx")[0], pictures.transpose(0, 2, 3, 1))


def small() -> Images:
    return Images((2, 5, 5), 3)


NORM_SIGN_POOL = ["SWG", "MVAU", "SWG", "MaxPool", "SWG", "MVAU"]
SHAPES: dict[str, tuple[Callable[[], Images], list[str]]] = {
    "the pooling behind the sign": (
        lambda: small().conv(3, [2, 2]).norm().activation("sign").window("MaxPool", (), 3, [2, 2], strides=[2, 2]),
        NORM_SIGN_POOL,
    ),
    "the pooling in front of the sign": (
        lambda: small().conv(3, [2, 2]).norm().window("MaxPool", (), 3, [2, 2], strides=[2, 2]).activation("sign"),
        NORM_SIGN_POOL,
    ),
    "a norm that falls behind the pooling": (
        lambda: small().conv(3, [2, 2]).window("MaxPool", (), 3, [2, 2], strides=[2, 2]).norm().activation("sign"),
        [*NORM_SIGN_POOL[:4], "Lookup", *NORM_SIGN_POOL[4:]],
    ),
    "one pixel a window": (
        lambda: small().conv(3, [1, 1]).activation("sign"),
        ["MVAU", "SWG", "MVAU"],
    ),
    "depth-wise": (
        lambda: small().conv(2, [3, 3], groups=2, pads=[1, 1, 1, 1]).norm().activation("sign").conv(3, [3, 3]).activation("sign"),
        ["SWG", "VVAU", "SWG", "MVAU", "SWG", "MVAU"],
    ),
    "depth-wise that falls": (
        lambda: small().conv(2, [3, 3], groups=2).then("Neg").then("BipolarQuant", np.float32(1)),  # type: ignore[dict-item, return-value]
        ["SWG", "VVAU", "SWG", "MVAU"],
    ),
    "an average of the whole image": (
        lambda: small().conv(3, [2, 2]).activation("quant2").then("GlobalAveragePool"),  # type: ignore[dict-item, return-value]
        ["SWG", "MVAU", "AccPool", "MVAU"],
    ),
    "padding that is wider than a window": (
        lambda: small().conv(3, [2, 2], pads=[2, 2, 2, 2]).activation("sign"),
        ["FMPadding", "SWG", "MVAU", "SWG", "MVAU"],
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_units(name: str) -> None:
    b = SHAPES[name][0]()
    graph = assert_equal_to_file(b.flat().dense(3).model(), "bipolar")
    kinds = [n.kind for n in graph.nodes]
    assert kinds[: len(SHAPES[name][1])] == SHAPES[name][1]
    assert [k for k in kinds[len(SHAPES[name][1]) :] if k != "Lookup"] == ["MaxPool", "LabelSelect"]  # the logits, as a vector


def test_groups_have_zero_weights_for_the_other_groups() -> None:
    b = Images((4, 3, 3), 1)
    b.conv(6, [2, 2], groups=2).activation("sign").then("Flatten")
    graph = assert_equal_to_file(b.dense(3).model(), "bipolar")
    node = graph.node("mvau_0")
    assert isinstance(node, MVAU)
    assert_array_equal(
        (node.weights.reshape(6, 4, 4) == 0).all(axis=1), [[False, False, True, True]] * 3 + [[True, True, False, False]] * 3
    )


def test_dense_layers_in_any_order_of_the_elements() -> None:
    b = Images((2, 3, 3), 1)
    b.conv(4, [2, 2]).activation("sign").then("Transpose", perm=[0, 3, 1, 2]).then("Reshape", np.array([0, 4, 4]))
    b.then("Transpose", perm=[0, 2, 1]).then("Flatten")
    assert_equal_to_file(b.dense(3).model(), "bipolar")


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_channels_in_another_order_only_permute_weights(groups: int) -> None:
    """A channel shuffle: Reshape, Transpose, Reshape."""
    b = Images((2, 4, 4), 1)
    b.conv(6, [2, 2]).activation("sign")
    b.then("Reshape", np.array([0, 2, 3, 3, 3])).then("Transpose", perm=[0, 2, 1, 3, 4]).then("Reshape", np.array([0, 6, 3, 3]))
    if groups == 6:
        b.conv(6, [2, 2], groups=6, pads=[1, 0, 0, 0]).norm().activation("quant2").window("MaxPool", (), 6, [2, 1])
    else:
        b.conv(6, [2, 2], groups=groups).activation("sign")
    graph = assert_equal_to_file(b.flat().dense(3).model(), "bipolar")
    assert not any(n.kind == "Shuffle" for n in graph.nodes)


@pytest.fixture(scope="module")
def case() -> tuple[Built, DataflowGraph]:
    b = Images((2, 5, 5), 4)
    b.conv(4, [3, 3], pads=[1, 1, 1, 1]).norm().activation("sign").window("MaxPool", (), 4, [2, 1], strides=[2, 2])
    b.conv(4, [2, 2], groups=4).activation("sign").then("Flatten")
    return lowered(b.dense(3).model(), "uint3,scale=1/7")


@pytest.mark.parametrize("name", ["mvau_0", "vvau_0", "mvau_1"])
def test_wrong_weights_of_a_row_are_mismatches_at_its_node(case: tuple[Built, DataflowGraph], name: str) -> None:
    built, graph = case
    node = graph.node(name)
    assert isinstance(node, MVAU | VVAU)
    frames = drawn_frames(graph.contract, 50, 100, 0)
    assert verify(graph, built, frames).mismatches == []
    behind = {"mvau_0": "max_pool_0", "vvau_0": "vvau_0", "mvau_1": "max_pool_1"}[name]
    found = set[int]()
    for row in range(len(node.weights)):  # a row whose output never changes hides its weights
        weights = node.weights.copy()
        weights[row, :3] *= -1
        wrong = graph.with_nodes([replace(node, weights=weights) if n is node else n for n in graph.nodes], graph.streams)
        seen = {(m.node, m.channel) for m in verify(wrong, built, frames).mismatches if m.node != "label"}
        if name != "mvau_1":  # among logits, whatever is ordered wrongly against the row is named too
            assert seen <= {(behind, row)}
        found |= {channel for node_, channel in seen if node_ == behind}
    assert len(found) >= 2


def test_a_wrong_border_is_a_mismatch(case: tuple[Built, DataflowGraph]) -> None:
    built, graph = case
    node = graph.node("swg_0")
    assert isinstance(node, SWG)
    wrong = graph.with_nodes([replace(node, value=3) if n is node else n for n in graph.nodes], graph.streams)
    assert {m.node for m in verify(wrong, built, drawn_frames(graph.contract, 50, 30, 0)).mismatches} - {"label"} == {"max_pool_0"}


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_rtl_of_a_small_network_in_every_bit_and_cycle(stall: float) -> None:
    b = Images((2, 4, 4), 3)
    b.conv(3, [3, 3], pads=[1, 1, 1, 1]).norm().activation("sign").window("MaxPool", (), 3, [2, 2], strides=[2, 2])
    b.conv(3, [2, 2], groups=3, pads=[0, 0, 1, 1]).norm().activation("quant2").then("GlobalAveragePool")
    graph = assert_equal_to_file(b.flat().dense(4).model(), "bipolar")
    assert {n.kind for n in graph.nodes} == {"SWG", "MVAU", "MaxPool", "VVAU", "AccPool", "Lookup", "LabelSelect"}
    assert_exact(graph, 2, stall, 1)


@pytest.mark.slow
def test_cnv_lowers_in_half_a_minute(tmp_path: Path) -> None:
    """VGG-like, 6 convolutions and 3 dense layers, 1.5 M weights."""
    onnx.save(cnv(), tmp_path / "cnv.onnx")
    began = time.perf_counter()
    result = lower(tmp_path / "cnv.onnx", LowerOptions(input="uint8,scale=1/255", samples=20))
    assert time.perf_counter() - began <= 30
    assert sum(n.weights.size for n in result.graph.nodes if isinstance(n, MVAU)) == 1_542_848
    assert (result.verification.mismatches, result.verification.labels_equal) == ([], 20)
    assert [n.kind for n in result.graph.nodes if n.kind != "Lookup"] == [
        *["SWG", "MVAU", "SWG", "MVAU", "SWG", "MaxPool"] * 2,
        *["SWG", "MVAU", "SWG", "MVAU", "MVAU", "MVAU", "MVAU", "MaxPool", "LabelSelect"],
    ]
