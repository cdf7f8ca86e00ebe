"""Lowering by evaluation: the graph gives what the file gives, whatever operators the file is made of."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from arbonn import files
from arbonn.errors import InputError, LoweringError
from arbonn.flows.lowering import branches as branches_module
from arbonn.flows.lowering.importer import import_model
from arbonn.flows.lowering.layers import Built, build
from arbonn.flows.lowering.lower import LowerOptions, drawn_frames, lower
from arbonn.flows.lowering.network import Network
from arbonn.flows.lowering.passes import PASSES, run_passes
from arbonn.flows.lowering.segments import cut
from arbonn.flows.lowering.verify import verify
from arbonn.hw.contract import parse_contract
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.label_select import LabelSelect
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.mvau import MVAU
from arbonn.sim import reference
from tests.flows.networks import ACTIVATIONS, Builder, Case, cases, draw_layers, perceptron

seeds = st.integers(0, 99)
TFC_SHA256 = "e875070d9b8af1ff55923ab03c7ed9dd8787d387cb3274872fe5fc6a2905b2db"


def lowered(case: Case) -> tuple[Network, Built, DataflowGraph]:
    network = import_model(case.model(), "net.onnx")
    built = build(cut(network), parse_contract(case.contract), "both")
    return network, built, run_passes(built.graph, PASSES)


def saved(tmp_path: Path, model: onnx.ModelProto) -> Path:
    path = tmp_path / "net.onnx"
    onnx.save(model, path)
    return path


@settings(max_examples=60)
@given(case=cases(), seed=seeds)
def test_graph_equals_the_file_under_the_tie_rule(case: Case, seed: int) -> None:
    _, built, graph = lowered(case)
    result = verify(graph, built, drawn_frames(graph.contract, case.inputs, 12, seed))
    assert result.mismatches == []
    assert result.samples == 12
    assert result.integers >= 12 * case.inputs
    assert result.labels_equal + len({t.sample for t in result.ties}) >= 12


@settings(max_examples=30)
@given(case=cases(dyadic=True), seed=seeds)
def test_power_of_two_scales_give_no_ties(case: Case, seed: int) -> None:
    network, built, graph = lowered(case)
    frames = drawn_frames(graph.contract, case.inputs, 12, seed)
    result = verify(graph, built, frames)
    assert (result.mismatches, result.ties, result.labels_equal) == ([], [], 12)
    labels = network.execute(graph.contract.values(frames))[built.logits].argmax(axis=1)
    assert_array_equal(reference.execute(graph, {"x": frames})["label"][:, 0], labels)


@settings(max_examples=40)
@given(case=cases())
def test_thresholds_equal_the_float_region_at_every_accumulator(case: Case) -> None:
    network, built, graph = lowered(case)
    for layer, target in zip(built.layers, built.points[1:], strict=False):
        node = graph.node(layer.unit)
        assert isinstance(node, MVAU)
        stream = graph.ports(node)["i"].dtype
        low, high = node.accumulator_range(stream.low, stream.high, stream)
        flipped = np.where((node.weights == layer.weights).all(axis=1), 1, -1)
        for row in range(node.rows):
            for acc in range(low[row], high[row] + 1):
                dot = node.to_dot(np.full(node.rows, acc), stream) * flipped
                start = layer.exact(dot[None]).astype(np.float32)
                end = _region(network, layer.output, target.tensor, start)[row]
                seen = _behind(graph, node, np.full((1, node.rows), acc))[0, row]
                assert seen * target.step + target.base == pytest.approx(end, abs=1e-4 * target.step)


def _region(network: Network, begin: str, end: str, start: np.ndarray) -> np.ndarray:
    """The file's own values at a tensor for those at a linear operator's output."""
    names = [name for node in network.nodes for name in node.output]
    between = network.nodes[names.index(begin) + 1 : names.index(end) + 1]
    return network.evaluate(between, begin, start)[end].reshape(-1)


def _behind(graph: DataflowGraph, node: MVAU, acc: np.ndarray) -> np.ndarray:
    """What the next layer takes for accumulators: by thresholds in the MVAU, or by the unit behind it."""
    ports = graph.ports(node)
    if node.thresholds is not None:
        return (
            ports["o"].dtype.decode((acc[..., None] >= node.thresholds).sum(-1))
            if ports["o"].dtype.name == "BIPOLAR"
            else (node.offset + (acc[..., None] >= node.thresholds).sum(-1))
        )
    assert ports["o"].sink
    after = graph.node(ports["o"].sink.node)
    if isinstance(after, MVAU | LabelSelect):
        return acc  # straight: they are the integers of the next layer
    if isinstance(after, Lookup):
        size = after.table.shape[1]
        acc = acc.clip(after.low, after.low + size - 1)
    return after.evaluate({"i": acc}, graph.ports(after))["o"]


@settings(max_examples=30)
@given(seed=st.integers(0, 2**16), activation=st.sampled_from(ACTIVATIONS), bits=st.integers(1, 3), norm=st.booleans())
def test_permuting_neurons_changes_nothing_behind_them(seed: int, activation: str, bits: int, norm: bool) -> None:
    if activation in ("prelu-sign", "multithreshold"):  # their parameters follow the channel's number, not the spec
        activation = "sign"
    first, second = draw_layers(seed, [6, 7, 3], bits, activation, norm=norm, bias=True, gemm=False, dyadic=False)
    order = np.random.default_rng(seed).permutation(7)
    moved = [first.permuted(order), replace(second, latent=second.latent[:, order])]
    graphs = []
    for layers in ([first, second], moved):
        built = build(cut(import_model(perceptron(layers, 6), "net.onnx")), parse_contract("uint4,scale=0.1"), "both")
        graphs.append(run_passes(built.graph, PASSES))
    frames = drawn_frames(graphs[0].contract, 6, 20, seed)
    plain, permuted = (reference.execute(graph, {"x": frames}) for graph in graphs)
    assert_array_equal(plain["logits"], permuted["logits"])
    assert_array_equal(plain["label"], permuted["label"])


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases(), seed=seeds)
def test_layers_too_wide_for_tables_give_the_same_graph(monkeypatch: pytest.MonkeyPatch, case: Case, seed: int) -> None:
    """The path for accumulators of very many levels, taken here by small ones."""
    network, built, graph = lowered(case)
    frames = drawn_frames(graph.contract, case.inputs, 12, seed)
    with monkeypatch.context() as patch:
        patch.setattr(branches_module, "MOST_TABLE", 0)
        try:
            wide = build(cut(network), built.graph.contract, "both")
        except LoweringError as error:
            if "neither rises nor falls" in error.found and any(isinstance(n, Lookup) for n in graph.nodes):
                return
            raise
    assert_array_equal(
        reference.execute(run_passes(wide.graph, PASSES), {"x": frames})["logits"], reference.execute(graph, {"x": frames})["logits"]
    )


def test_wide_first_layer_on_bytes(tmp_path: Path) -> None:
    """199,921 accumulators in 64 rows: too many for a table."""
    layers = draw_layers(2, [784, 64, 10], 1, "quant2", norm=True, bias=False, gemm=False, dyadic=False)
    result = lower(saved(tmp_path, perceptron(layers, 784, front="normalized")), LowerOptions(input="uint8,scale=1/255", samples=50))
    assert result.verification.mismatches == []
    assert [n.kind for n in result.graph.nodes] == ["MVAU", "MVAU", "Lookup", "LabelSelect"]


def test_the_file_s_own_batch_in_a_reshape_does_not_matter(tmp_path: Path) -> None:
    b = Builder((1, 1, 2, 3)).then("Reshape", np.array([1, 6])).then("MatMul", np.where(np.arange(18).reshape(6, 3) % 2, 1, -1) * 1.0)
    b.then("Reshape", np.array([1, 3, 1])).then("BipolarQuant", np.float32(1)).then("Flatten").then("MatMul", np.eye(3) * 2 - 1)
    result = lower(saved(tmp_path, b.model()), LowerOptions(input="bipolar", samples=20))
    assert (result.verification.mismatches, result.verification.labels_equal) == ([], 20)


def test_falling_rows_negate_weights_or_table_never_both() -> None:
    layers = draw_layers(1, [8, 6, 3], 1, "sign", norm=True, bias=False, gemm=False, dyadic=False)
    assert layers[0].norm is not None
    assert (layers[0].norm[0] < 0).any(), "the case needs a negative gain"
    _, built, graph = lowered(Case(layers, 8, "", "bipolar", 13, "qonnx.custom_op.general", ""))
    node = graph.node("mvau_0")
    assert isinstance(node, MVAU)
    falls = layers[0].norm[0] < 0
    assert_array_equal(node.weights, np.where(falls[:, None], -1, 1) * built.layers[0].weights)
    assert [n.kind for n in graph.nodes] == ["MVAU", "MVAU", "Lookup", "LabelSelect"]


def test_outputs_and_streams_are_named(tmp_path: Path) -> None:
    layers = draw_layers(3, [5, 4, 3], 1, "sign", norm=True, bias=False, gemm=False, dyadic=False)
    path = saved(tmp_path, perceptron(layers, 5, tail="Softmax"))
    both = lower(path, LowerOptions(input="uint8,scale=1/255"))
    assert [s.id for s in both.graph.streams] == ["x", "mvau_0_o", "mvau_1_o", "lookup_1_o", "label", "logits"]
    assert both.notes == ("softmax9 (Softmax) is left to the host: it keeps the order of the logits",)
    assert both.graph.node("mvau_0").origin == ("matmul2", "batchnormalization3", "bipolarquant4")
    assert both.graph.node("label_select_0").origin == ("softmax9",)
    assert [s.id for s in lower(path, LowerOptions(input="bipolar", outputs="label")).graph.outputs] == ["label"]
    logits = lower(path, LowerOptions(input="bipolar", outputs="logits"))
    assert [s.id for s in logits.graph.outputs] == ["logits"]
    assert logits.verification.mismatches == []
    provenance = dict(both.graph.provenance)
    assert provenance.pop("model_sha256") == files.sha256(path)
    assert provenance == {
        "model": "net.onnx",
        "arbonn": provenance["arbonn"],
        "input": "uint8,scale=1/255 (option)",
        "logit_scale": provenance["logit_scale"],
        "passes": "flip-falling, table-to-thresholds, merge-thresholds",
    }


def test_logit_scale_is_what_the_integers_mean(tmp_path: Path) -> None:
    layers = draw_layers(3, [5, 3], 2, "", norm=True, bias=False, gemm=False, dyadic=False)
    path = saved(tmp_path, perceptron(layers, 5))
    result = lower(path, LowerOptions(input="uint2", samples=50))
    scale = 2.0 ** float(result.graph.provenance["logit_scale"].removeprefix("2^"))
    frames = drawn_frames(result.contract, 5, 50, 1)
    network = import_model(onnx.load(path), "net.onnx")
    floats = network.execute(result.contract.values(frames))[network.output]
    assert np.abs(reference.execute(result.graph, {"x": frames})["logits"] * scale - floats).max() <= scale * 0.501
    ranks = lower(path, LowerOptions(input="uint2", logits="rank"))
    assert ranks.graph.provenance["logit_scale"] == "rank"
    assert ranks.notes == ("matmul2: logits are ranks of the float ones",)
    assert_array_equal(reference.execute(ranks.graph, {"x": frames})["label"], reference.execute(result.graph, {"x": frames})["label"])


def test_samples_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, Builder((1, 6)).then("MatMul", np.ones((6, 3))).model())
    with pytest.raises(LoweringError) as error:
        lower(path, LowerOptions(input="uint2", samples=np.zeros((4, 5), np.int64)))
    assert str(error.value) == "LoweringError: net.onnx: samples of shape (4, 5)\n  allowed  (frames, ...) with 6 codes a frame"
    with pytest.raises(InputError) as wrong:
        lower(path, LowerOptions(input="uint2", samples=np.full((4, 6), 4)))
    assert str(wrong.value) == "InputError: input data: code 4\n  allowed  UINT2 codes 0 .. 3"


def test_weights_of_many_values_are_refused(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    path = saved(tmp_path, Builder((1, 6)).then("MatMul", weights).model())
    with pytest.raises(LoweringError) as error:
        lower(path, LowerOptions(input="bipolar"))
    assert str(error.value) == (
        "LoweringError: matmul0: row 0 has 6 weights that are no small integers times one scale\n"
        "  allowed  one magnitude a row (bipolar), or integers of at most 8 bits times one scale a row\n"
        "  fix      train with quantized weights"
    )


def test_unquantized_activations_are_refused(tmp_path: Path) -> None:
    b = Builder((1, 6)).then("MatMul", np.ones((6, 3), np.float32)).then("Sigmoid").then("MatMul", np.ones((3, 2), np.float32))
    with pytest.raises(LoweringError) as error:
        lower(saved(tmp_path, b.model()), LowerOptions(input="bipolar"))
    assert str(error.value) == (
        "LoweringError: matmul2: an input that takes 7 values on no common grid\n"
        "  allowed  a quantized input: integers times one scale for all channels\n"
        "  fix      put a quantizer with one scale in front of it"
    )


def test_tfc_of_the_zoo_labels_mnist_as_qonnx_does() -> None:
    folder = os.environ.get("ARBONN_DATA")
    if not folder:
        pytest.skip("ARBONN_DATA is not set")
    path = Path(folder) / "TFC_1W1A.onnx"
    assert files.sha256(path) == TFC_SHA256
    data = np.load(Path(folder) / "mnist.npz")
    images, labels = data["test_images"][:500].reshape(500, -1), data["test_labels"][:500]
    result = lower(path, LowerOptions(input="uint8,scale=1/255", samples=images))
    seen = reference.execute(result.graph, {"x": images.astype(np.int64)})["label"][:, 0]
    assert (seen == labels).sum() == 461
    assert result.verification.mismatches == result.verification.ties == []
    assert result.verification.labels_equal == 500
    assert [n.kind for n in result.graph.nodes] == ["Thresholding", "MVAU", "MVAU", "MVAU", "MVAU", "LabelSelect"]
