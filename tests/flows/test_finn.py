"""FINN's dialect: the same integers out of qonnx and out of finn-base itself, and the same network read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from numpy.testing import assert_array_equal

from arbonn.errors import CheckError, LoweringError
from arbonn.flows.commands.dry import emitted_file
from arbonn.flows.finn import compare
from arbonn.flows.finn.compare import as_input, compared, executed, logits_of
from arbonn.flows.finn.dialect import FILE, emit, finn_model
from arbonn.flows.finn.file import DOMAIN
from arbonn.flows.lowering.lower import LowerOptions, drawn_frames, lower
from arbonn.flows.lowering.weights import matrix_of
from arbonn.flows.options import Common
from arbonn.flows.options import LowerOptions as StageOptions
from arbonn.flows.same_network import network_digest
from arbonn.flows.stages import lower as stage
from arbonn.hw import graph_file
from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import DataflowGraph, Endpoint, Stream
from arbonn.hw.units.add_streams import AddStreams
from arbonn.hw.units.concat import Concat
from arbonn.hw.units.dwc import DWC
from arbonn.hw.units.fm_padding import FMPadding
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.shuffle import Shuffle
from arbonn.hw.units.split import Split
from arbonn.hw.units.swg import SWG
from arbonn.hw.units.vvau import VVAU
from tests.flows.branched import branched
from tests.flows.images import Images, images
from tests.flows.lowering.test_lower_conv import lowered
from tests.flows.networks import Case, cases, draw_layers, perceptron
from tests.flows.test_cli import arbonn
from tests.graph_builder import GraphBuilder
from tests.strategies_images import blocks


def needs_no_unit(graph: DataflowGraph) -> bool:
    """True where thresholds may go away when the network is lowered again.

    So they do where they are a straight line of the accumulators, as in a layer of one weight, and in a last layer whose accumulators
    order the classes as the thresholded logits do.
    """
    layers = [node for node in graph.ordered() if isinstance(node, MVAU | VVAU)]
    if layers[-1].thresholds is not None:
        return True
    for node in graph.nodes:
        if isinstance(node, MVAU | VVAU) and node.thresholds is not None:
            dtype = graph.ports(node)["i"].dtype
            low, high = matrix_of(node).accumulator_range(dtype.low, dtype.high, dtype)
            counts = (np.arange(low.min(), high.max() + 1)[:, None, None] >= node.thresholds).sum(axis=2)
            steps = np.diff(counts, axis=0)
            if (low == low[0]).all() and (high == high[0]).all() and (steps == steps[:1, :1]).all():
                return True
    return False


def padded_twice(graph: DataflowGraph) -> bool:
    """True where a border is divided between an FMPadding and the SWG behind it: lowered again, all of it may stand in one."""
    sinks = [s.sink.node for s in graph.streams if s.sink and s.source and isinstance(graph.node(s.source.node), FMPadding)]
    return any(isinstance(node := graph.node(name), SWG) and any(node.padding) for name in sinks)


def goes_round(model: onnx.ModelProto, contract: str) -> None:
    try:
        _, graph = lowered(model, contract)
        emitted = finn_model(graph)
    except LoweringError as error:
        if error.where != "finn-base" and "neither rises nor falls" not in error.found:
            raise
        return
    assert compared(graph, 8) > 0
    metadata = {entry.key: entry.value for entry in emitted.metadata_props}
    _, again = lowered(emitted, metadata["arbonn.input"])
    codes = drawn_frames(graph.contract, graph.inputs[0].elements, 8, 0)
    assert_array_equal(*(logits_of(g, codes.reshape(-1, *g.inputs[0].shape)) for g in (graph, again)))
    assert needs_no_unit(graph) or padded_twice(graph) or network_digest(again) == network_digest(graph)


@given(case=cases())
@settings(max_examples=50)
def test_a_perceptron_comes_back_as_the_same_network(case: Case) -> None:
    goes_round(case.model(), case.contract)


@given(drawn=images())
@settings(max_examples=40)
def test_a_network_on_images_comes_back_as_the_same(drawn: tuple[onnx.ModelProto, str]) -> None:
    goes_round(*drawn)


def emitted_or_refused(graph: DataflowGraph) -> onnx.ModelProto | None:
    """None where tables are refused, which a drawn network may have."""
    try:
        return finn_model(graph)
    except LoweringError as error:
        if " (Lookup) has a table " not in error.found:
            raise
        return None


@given(drawn=branched())
@settings(max_examples=10)
def test_a_network_of_branches_comes_back_as_one_that_gives_the_same(drawn: tuple[onnx.ModelProto, str]) -> None:
    _, graph = lowered(*drawn)
    emitted = emitted_or_refused(graph)
    if emitted is None:
        return
    assert compared(graph, 8) > 0
    _, again = lowered(emitted, next(entry.value for entry in emitted.metadata_props if entry.key == "arbonn.input"))
    codes = drawn_frames(graph.contract, graph.inputs[0].elements, 8, 0)  # branches may come back in another order
    seen = (logits_of(g, codes.reshape(-1, *g.inputs[0].shape)) for g in (graph, again))
    assert_array_equal(*seen)


@pytest.mark.parametrize("before", [(), (2, 3)])
def test_what_parts_and_joins_gives_the_same_integers(before: tuple[int, ...]) -> None:
    kind = datatype("INT3")
    made = GraphBuilder(((*before, 6), kind, 2))
    ends = made.add(Split("split"), {"i": "x"}, {"o0": ((*before, 4), kind, 2), "o1": ((*before, 2), kind, 2)})
    (joined,) = made.add(Concat("join"), {"i0": ends[1], "i1": ends[0]}, {"o": ((*before, 6), kind, 2)})
    wide = made.chain(DWC("wide"), joined, ((*before, 6), kind, 6))
    made.chain(Shuffle("shuffle", np.array([2, 0, 1, 5, 4, 3])), wide, ((*before, 6), kind, 6))
    graph = made.graph()
    codes = np.random.default_rng(0).choice(kind.every(), (3, *before, 6))
    expected = np.moveaxis(logits_of(graph, codes), -1, 1).reshape(3, -1)
    assert_array_equal(executed(finn_model(graph, 3), codes), expected)


def test_a_graph_with_several_inputs_is_refused() -> None:
    kind = datatype("INT3")
    ends = [Stream(f"i{k}", (3,), kind, 1, sink=Endpoint("u", f"i{k}")) for k in range(2)]
    streams = (*ends, Stream("o", (3,), datatype("INT4"), 1, source=Endpoint("u", "o")))
    with pytest.raises(LoweringError) as error:
        finn_model(DataflowGraph((AddStreams("u"),), streams, InputContract(kind)).verify())
    assert str(error.value) == "LoweringError: finn-base: 2 inputs (i0, i1)\n  allowed  one input of codes, (C,) or (H, W, C)"


@given(graph=blocks())
@settings(max_examples=30)
def test_branches_give_the_same_integers(graph: DataflowGraph) -> None:
    source, output = graph.inputs[0], graph.outputs[0]
    codes = drawn_frames(graph.contract, source.elements, 4, 0).reshape(-1, *source.shape)
    seen = executed(finn_model(graph, 4), codes)
    expected = logits_of(graph, codes).reshape(4, -1, output.shape[-1]).swapaxes(1, 2).reshape(4, -1)
    assert_array_equal(seen, expected)


def binary() -> onnx.ModelProto:
    return perceptron(draw_layers(3, [12, 8, 6, 4], 1, "sign", norm=True, bias=False, gemm=False, dyadic=False), 12)


def test_binary_layers_are_xnor_popcounts_of_bits_and_multi_bit_ones_are_not() -> None:
    _, graph = lowered(binary(), "bipolar")
    model = finn_model(graph)
    kinds = [(n.op_type, n.domain) for n in model.graph.node]
    assert kinds[:5] == [("MultiThreshold", DOMAIN), *[("XnorPopcountMatMul", DOMAIN), ("MultiThreshold", DOMAIN)] * 2]
    types = {a.tensor_name: a.quant_parameter_tensor_names[0].value for a in model.graph.quantization_annotation}
    assert types["x"] == "BIPOLAR"
    assert {types[name] for n in model.graph.node if n.op_type == "XnorPopcountMatMul" for name in n.input} == {"BINARY"}
    assert set(types) >= {name for n in model.graph.node for name in n.output}
    _, graph = lowered(perceptron(draw_layers(3, [5, 4, 3], 3, "quant2", norm=True, bias=False, gemm=False, dyadic=False), 5), "uint4")
    assert [n.op_type for n in finn_model(graph).graph.node][:2] == ["MatMul", "MultiThreshold"]


def test_a_folded_graph_gives_the_same_file(tmp_path: Path) -> None:
    onnx.save(binary(), tmp_path / "net.onnx")
    stage(tmp_path / "net.onnx", StageOptions(input="bipolar", samples=10), Common(tmp_path / "build"))
    folded, plain = graph_file.load(tmp_path / "build"), lower(tmp_path / "net.onnx", LowerOptions(input="bipolar", samples=10)).graph
    assert len(folded.nodes) > len(plain.nodes)
    assert network_digest(folded) == network_digest(plain)
    assert finn_model(folded).graph.node == finn_model(plain).graph.node


def test_every_unit_that_cannot_be_expressed_is_named() -> None:
    b = Images((2, 4, 4)).conv(3, [2, 2]).activation("abs").conv(3, [2, 2]).activation("abs").flat().dense(2)
    _, graph = lowered(b.model(), "int3,scale=1")
    with pytest.raises(LoweringError) as error:
        finn_model(graph)
    assert str(error.value) == (
        "LoweringError: finn-base: lookup_0 (Lookup) has a table that neither rises nor falls in channel 0; "
        "lookup_1 (Lookup) has a table that neither rises nor falls in channel 0\n"
        "  allowed  units that are sums, thresholds, rising or falling tables, windows and poolings\n"
        "  fix      quantize by functions that rise or fall, and end in a layer with one scale"
    )


def test_a_difference_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    _, graph = lowered(binary(), "bipolar")
    monkeypatch.setattr(compare, "logits_of", lambda graph, codes: logits_of(graph, codes) + np.eye(16, 4, dtype=np.int64)[::-1])
    with pytest.raises(CheckError) as error:
        compared(graph)
    assert str(error.value).startswith("CheckError: finn-base: logit 3 of frame 12 is ")


def test_the_command_writes_and_compares(tmp_path: Path) -> None:
    onnx.save(binary(), tmp_path / "net.onnx")
    done = arbonn("lower", tmp_path / "net.onnx", "--input", "bipolar", "--out", tmp_path / "build", "--emit", "finn-base", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["emitted"] == {"file": FILE, "compared": 64}
    again = lower(tmp_path / "build" / FILE, LowerOptions(samples=10))
    assert again.contract_source == "metadata"


def test_a_refused_graph_leaves_no_file(tmp_path: Path) -> None:
    b = Images((2, 4, 4)).conv(3, [2, 2]).activation("abs").flat().dense(2)
    graph_file.save(lowered(b.model(), "int3,scale=1")[1], tmp_path)
    with pytest.raises(LoweringError):
        emitted_file(tmp_path)
    assert not (tmp_path / FILE).exists()


def data() -> Path:
    if "ARBONN_DATA" not in os.environ:
        pytest.skip("ARBONN_DATA is not set")
    return Path(os.environ["ARBONN_DATA"])


def test_the_zoo_s_network_goes_round_and_labels_alike(tmp_path: Path) -> None:
    graph = lower(data() / "TFC_1W1A.onnx", LowerOptions(input="uint8,scale=1/255", samples=5)).graph
    emit(graph, tmp_path / FILE)
    again = lower(tmp_path / FILE, LowerOptions(samples=5))
    assert again.verification.mismatches == []
    assert network_digest(again.graph) == network_digest(graph)
    pixels = np.load(data() / "mnist.npz")["test_images"][:500].reshape(500, -1).astype(np.int64)
    assert_array_equal(executed(finn_model(graph, 500), pixels), logits_of(graph, pixels))


FINN = """
import sys
import numpy as np
from finn.core.modelwrapper import ModelWrapper
from finn.core.onnx_exec import execute_onnx
model, frames = ModelWrapper(sys.argv[1]), np.load(sys.argv[2])
np.save(sys.argv[3], np.concatenate([list(execute_onnx(model, {"x": frame[None]}).values())[0] for frame in frames]))
"""


def finn_python() -> str:
    """A Python that has finn-base: this one, or that of an environment named by ARBONN_FINN_PYTHON."""
    for python in (sys.executable, os.environ.get("ARBONN_FINN_PYTHON", "")):
        if python and subprocess.run([python, "-c", "import finn.core.onnx_exec"], capture_output=True, cwd="/").returncode == 0:
            return python
    pytest.skip("finn-base is not installed")


def drawn() -> dict[str, Callable[[], tuple[onnx.ModelProto, str]]]:
    cnn = Images((2, 5, 5), 1).conv(3, [3, 3], pads=[1, 1, 1, 1]).norm().activation("sign").window("MaxPool", (), 3, [2, 2], strides=[2, 2])
    mixed = Images((2, 4, 4), 2).conv(4, [3, 3], bits=2).activation("quant2").then("GlobalAveragePool")
    mixed.size = (4, 1, 1)
    return {
        "binary": lambda: (binary(), "bipolar"),
        "images": lambda: (cnn.conv(4, [2, 2]).activation("sign").flat().dense(3).model(), "uint3"),
        "average": lambda: (mixed.activation("signed3").flat().dense(3).model(), "uint3"),
    }


@pytest.mark.parametrize("name", drawn())
def test_finn_base_itself_computes_the_same(name: str, tmp_path: Path) -> None:
    python = finn_python()
    _, graph = lowered(*drawn()[name]())
    emit(graph, tmp_path / FILE)
    source = graph.inputs[0]
    codes = drawn_frames(graph.contract, source.elements, 6, 0).reshape(-1, *source.shape)
    np.save(tmp_path / "frames.npy", as_input(codes))
    command = [python, "-c", FINN, str(tmp_path / FILE), str(tmp_path / "frames.npy"), str(tmp_path / "logits.npy")]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    assert_array_equal(np.load(tmp_path / "logits.npy"), logits_of(graph, codes))
