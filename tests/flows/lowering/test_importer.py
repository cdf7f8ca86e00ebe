"""What can be wrong with a file, and the whole text of what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.testing import assert_array_equal

from arbonn.errors import ArbonnError
from arbonn.flows.lowering.importer import OPSETS, import_model, read_network
from arbonn.flows.lowering.input_contract import find_contract
from arbonn.flows.lowering.lower import LowerOptions, lower
from arbonn.flows.lowering.operators import OPERATORS
from arbonn.flows.lowering.segments import cut
from arbonn.hw.contract import ALLOWED
from tests.flows.networks import Builder, draw_layers, perceptron

SIGNS = np.where(np.arange(18).reshape(6, 3) % 2, 1, -1).astype(np.float32)
EXPORT = "export the network again: `arbonn train` or brevitas.export.export_qonnx"
CHAIN = "linear layers, sums and concatenations of branches, with element-wise operators between them"


def message(function: object, *arguments: object) -> str:
    assert callable(function)
    with pytest.raises(ArbonnError) as error:
        function(*arguments)
    return str(error.value)


def small() -> Builder:
    return Builder((1, 6)).then("MatMul", SIGNS)


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "no.onnx"
    assert message(read_network, path) == f"InputError: {path}: no such file\n  allowed  a QONNX file (.onnx)"
    assert message(read_network, tmp_path) == f"InputError: {tmp_path}: not a file\n  allowed  a QONNX file (.onnx)"


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 not a network", bytes(100), b"\x08\x08"])
def test_garbage(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "garbage.onnx"
    path.write_bytes(data)
    text = f"InputError: {path}: {len(data)} bytes that hold no whole ONNX model\n  allowed  a QONNX file (.onnx)\n  fix      {EXPORT}"
    assert message(read_network, path) == text


def test_truncated_at_every_length(tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    whole = small().model().SerializeToString()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        assert message(lower, path, LowerOptions(input="bipolar")).startswith(("InputError: ", "LoweringError: "))


def test_damaged_bytes_end_as_one_error_or_do_not_matter(tmp_path: Path) -> None:
    path, random = tmp_path / "damaged.onnx", np.random.default_rng(0)
    whole = perceptron(draw_layers(1, [5, 4, 3], 1, "quant2", norm=True, bias=True, gemm=True, dyadic=False), 5).SerializeToString()
    ends = set()
    for _ in range(300):
        data = bytearray(whole)
        data[random.integers(len(data))] = random.integers(256)
        path.write_bytes(data)
        try:
            lower(path, LowerOptions(input="uint4,scale=1/15", samples=5))
            ends.add("lowered")
        except ArbonnError as error:
            ends.add(type(error).__name__)
    assert ends == {"lowered", "InputError", "LoweringError"}


@pytest.mark.parametrize("version", [1, 6, 99])
def test_operator_set(version: int) -> None:
    model = small().model()
    model.opset_import[0].version = version
    assert message(import_model, model, "net.onnx") == (
        f"LoweringError: net.onnx: ONNX operator set {version}\n  allowed  7 to {OPSETS[-1]}\n  fix      export with opset_version=13"
    )
    del model.opset_import[:]
    assert message(import_model, model, "net.onnx").startswith("LoweringError: net.onnx: no ONNX operator set\n")


def test_inputs_and_outputs() -> None:
    model = small().model()
    info = onnx.helper.make_tensor_value_info
    model.graph.input.append(info("y", onnx.TensorProto.FLOAT, (1, 2)))
    assert message(import_model, model, "net.onnx") == "LoweringError: net.onnx: 2 inputs (x, y)\n  allowed  networks with one input"
    del model.graph.input[:]
    model.graph.node[0].input[0] = model.graph.node[0].input[1]
    assert message(import_model, model, "net.onnx") == "LoweringError: net.onnx: no inputs\n  allowed  networks with one input"
    model = small().model()
    model.graph.output.append(info("x", onnx.TensorProto.FLOAT, (1, 6)))
    assert message(import_model, model, "net.onnx") == (
        "LoweringError: net.onnx: 2 outputs (t0, x)\n  allowed  networks with one output: the logits"
    )


def test_unknown_sizes() -> None:
    model = Builder(("batch", "features")).then("Relu").model()
    assert message(import_model, model, "net.onnx") == (
        "LoweringError: net.onnx input 'x': shape (batch, features)\n  allowed  (batch, ...) with all sizes but the batch known"
    )


def test_tensors_of_any_size_are_refused_before_memory_is_asked_for() -> None:
    model = Builder((1, 1 << 40)).then("Relu").model()
    assert message(import_model, model, "net.onnx") == (
        "LoweringError: net.onnx input 'x': shape (1, 1099511627776): 1099511627776 elements\n"
        "  allowed  at most 67108864 elements\n  fix      export for one frame"
    )
    b = small()
    before, b.tensor = b.tensor, b.constant(np.array([1 << 20, 1 << 20]))
    grown, b.tensor = b.then("ConstantOfShape").tensor, before
    for model in (b.then("MatMul", grown).model(), small().then("Pad", np.array([0, 1 << 40, 0, 0])).model()):
        text = message(import_model, model, "net.onnx")
        assert "the node does not run: it gives 10995116277" in text
        assert f" elements, 67108864 are allowed\n  fix      {EXPORT}" in text


def test_all_unknown_operators_are_listed_at_once_and_none_runs() -> None:
    b = small().then("Mystery").then("Hardmax").then("Relu")
    assert message(import_model, b.model(), "net.onnx") == (
        "LoweringError: net.onnx: 2 nodes that do not lower: mystery1 (Mystery), hardmax2 (Hardmax)\n"
        f"  allowed  {', '.join(OPERATORS)}\n"
        "  fix      export the network without them, or replace them by allowed operators"
    )
    model = small().then("Mystery").model()
    model.graph.node[1].domain = "com.microsoft"
    assert "1 node that does not lower: mystery1 (com.microsoft.Mystery)\n" in message(import_model, model, "net.onnx")


def test_a_tensor_that_nothing_gives() -> None:
    b = small().then("Add", "nowhere")
    assert message(import_model, b.model(), "net.onnx") == f"InputError: net.onnx: tensors that nothing gives: nowhere\n  fix      {EXPORT}"


def test_a_node_that_does_not_run() -> None:
    text = message(import_model, small().then("MatMul", np.ones((5, 2), np.float32)).model(), "net.onnx")
    assert text.startswith("LoweringError: matmul1 (MatMul): the node does not run: ")
    assert text.endswith(f"\n  fix      {EXPORT}")


MIXED: dict[str, Callable[[Builder], Builder]] = {
    "transpose1 (Transpose) turns shape (1, 3) into (3, 1): the batch must stay the first axis": lambda b: b.then("MatMul", SIGNS).then(
        "Transpose", perm=[1, 0]
    ),
    "mul1 (Mul) joins branches 't0' and 'x': only Add, Sub, Sum, Concat can": lambda b: b.then("MatMul", np.ones((6, 6))).then("Mul", "x"),
    "add1 (Add) turns shape (1, 3) into (4, 3)": lambda b: b.then("MatMul", SIGNS).then("Add", np.ones((4, 1))),
    "matmul1 (MatMul) follows Softmax, which only the end of a network may be": lambda b: b.then("Softmax", axis=1).then("MatMul", SIGNS),
    "matmul0 (MatMul) has weights that are not constant, or as its first operand": lambda b: b.then("MatMul", np.ones((1, 1)), first=False),
    "gemm0 (Gemm) transposes its input": lambda b: b.then("Gemm", np.ones((1, 6)), transA=1),
    "matmul2 (MatMul) works on an input of shape (1, 2, 3): only (batch, features), or (batch, pixels, features) pixel by pixel": (
        lambda b: b.then("MatMul", np.ones((6, 6))).then("Reshape", np.array([1, 2, 3])).then("MatMul", SIGNS[:3])
    ),
}


@pytest.mark.parametrize("found", MIXED)
def test_nodes_that_mix_elements(found: str) -> None:
    model = MIXED[found](Builder((1, 6))).model()
    assert message(lambda: cut(import_model(model, "net.onnx"))) == (
        f"LoweringError: net.onnx: {found}\n  allowed  {CHAIN}\n  fix      export the network without these nodes"
    )


def test_no_linear_layer() -> None:
    model = Builder((1, 6)).then("Add", "x").model()
    assert message(lambda: cut(import_model(model, "net.onnx"))) == (
        "LoweringError: net.onnx: no linear layer\n  allowed  networks with at least one Conv, MatMul or Gemm by constant weights"
    )


def test_no_contract_prints_the_line_to_type() -> None:
    network = import_model(small().model(), "net.onnx")
    assert message(find_contract, network, None, None) == (
        "LoweringError: net.onnx: no input contract: nothing says which integers stand for input 'x' of shape (1, 6)\n"
        f"  allowed  {ALLOWED}\n"
        "  fix      arbonn lower net.onnx --input uint8,scale=1/255"
    )


def test_contract_that_cannot_be_read() -> None:
    network = import_model(small().model(arbonn_input="uint8,scale=zero"), "net.onnx")
    assert message(find_contract, network, None, None) == (
        f"InputError: net.onnx metadata 'arbonn.input': 'scale=zero' in 'uint8,scale=zero'\n  allowed  {ALLOWED}\n  fix      give `--input`"
    )
    assert message(find_contract, network, None, Path("t.npy")) == (
        f"InputError: --input-table: a table without `--input TYPE`\n  allowed  {ALLOWED}\n  fix      add `--input uint8`, say"
    )


def test_annotation_is_a_contract_and_metadata_goes_before_it() -> None:
    model = small().model()
    entry = model.graph.quantization_annotation.add(tensor_name="x")
    entry.quant_parameter_tensor_names.add(key="finn_datatype", value="INT4")
    found = find_contract(import_model(model, "net.onnx"), None, None)
    assert (found.source, str(found.contract)) == ("annotation", "int4,scale=1")
    model.metadata_props.add(key="arbonn.input", value="bipolar")
    assert find_contract(import_model(model, "net.onnx"), None, None).source == "metadata"


LEADING: dict[str, Callable[[Builder], Builder]] = {
    "bipolar,scale=0.5": lambda b: b.then("Flatten").then("BipolarQuant", np.float32(0.5)),
    "int4,scale=0.1,zero=3,low=-7": lambda b: b.then("Quant", np.float64(0.1), np.float32(3), np.float32(4), signed=1, narrow=1),
    "int8,scale=0.25,zero=-4": lambda b: b.then("QuantizeLinear", np.float32(0.25), np.int8(-4)).then(
        "DequantizeLinear", np.float32(0.25), np.int8(-4)
    ),
}


@pytest.mark.parametrize("text", LEADING)
def test_leading_quantizer_is_a_contract(text: str) -> None:
    found = find_contract(import_model(LEADING[text](Builder((1, 6))).then("MatMul", SIGNS).model(), "net.onnx"), None, None)
    assert found.source == "quantizer"
    assert str(found.contract) == text


def test_batch_of_the_file_does_not_matter() -> None:
    layers = draw_layers(0, [6, 4, 3], 1, "sign", norm=True, bias=False, gemm=False, dyadic=False)
    model = perceptron(layers, 6)
    x = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    results = []
    for batch in (1, 3):
        model.graph.input[0].type.tensor_type.shape.dim[0].Clear()
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
        network = import_model(model, "net.onnx")
        results.append(network.execute(x)[network.output])
    assert_array_equal(results[0], results[1])


def test_nodes_without_names_or_order_get_them() -> None:
    model = small().then("BipolarQuant", np.float32(1)).model()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    for node in nodes:
        node.name = ""
        model.graph.node.append(node)
    assert [n.name for n in import_model(model, "net.onnx").nodes] == ["MatMul_1", "BipolarQuant_0"]
