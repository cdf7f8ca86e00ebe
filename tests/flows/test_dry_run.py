"""A dry run tells all that does not lower, at once, quickly, and is silent about what does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from hypothesis import given, settings

from arbonn.flows.commands.dry import dry_run_answer
from arbonn.flows.dry_run import dry_run
from arbonn.flows.lowering.operator_list import operator_list
from arbonn.flows.lowering.operators import OPERATORS
from tests.flows.networks import Builder, Case, cases
from tests.flows.test_cli import arbonn

SIGNS = np.where(np.arange(18).reshape(6, 3) % 2, 1, -1).astype(np.float32)
LIST = "`arbonn lower --list-operators` shows what can stand there"


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "net.onnx"
    onnx.save(model, path)
    return path


def everything_wrong() -> onnx.ModelProto:
    """An unknown operator between layers, one of QONNX's domain whose shape only the file knows, a transposed batch, float weights."""
    b = Builder((1, 6)).then("MatMul", SIGNS).then("LayerNormalization", np.ones(3))
    b.then("Mystery").then("MatMul", np.linspace(0.1, 1, 9).reshape(3, 3) ** 3).then("Gemm", np.ones((1, 3)), transA=1)
    b.then("Hardmax").then("Transpose", perm=[1, 0])
    b.opset = 17
    model = b.model()
    model.graph.value_info.append(onnx.helper.make_tensor_value_info("t2", onnx.TensorProto.FLOAT, (1, 3)))
    return model


def test_everything_that_does_not_lower_is_told_at_once(tmp_path: Path) -> None:
    result = dry_run(saved(everything_wrong(), tmp_path))
    assert [tuple(vars(p).values()) for p in result.problems] == [
        ("x", "input", "no input contract", "arbonn lower net.onnx --input uint8,scale=1/255"),
        ("layernormalization1", "LayerNormalization", "divides by statistics of each frame", "train with BatchNormalization"),
        ("mystery2", "Mystery", "has no lowering", LIST),
        ("gemm4", "Gemm", "transposes its input", "export with transA = 0"),
        ("hardmax5", "Hardmax", "has no lowering", LIST),
        (
            "transpose6", "Transpose", "turns shape (3, 3) into (3, 3): the batch must stay the first axis",
            "keep the batch as the first axis and the shape through element-wise operators",
        ),
    ]  # fmt: skip
    assert not result.lowers
    assert result.layers == []


def test_weights_on_no_grid_are_told_for_every_layer(tmp_path: Path) -> None:
    odd = (np.linspace(0.1, 1, 18).reshape(6, 3) ** 3).astype(np.float32)
    model = Builder((1, 6)).then("MatMul", odd).then("Sign").then("MatMul", SIGNS.T).then("Sign").then("MatMul", odd).model()
    result = dry_run(saved(model, tmp_path), "bipolar")
    assert [(p.node, p.fix) for p in result.problems] == [
        ("matmul0", "train with quantized weights"),
        ("matmul4", "train with quantized weights"),
    ]
    assert result.problems[0].why == "row 0 has 6 weights that are no small integers times one scale"
    assert [layer.node for layer in result.layers] == ["matmul2"]


def test_nothing_is_guessed_behind_an_operator_whose_shape_nobody_knows(tmp_path: Path) -> None:
    model = Builder((1, 6)).then("MatMul", SIGNS).then("Mystery").then("Gemm", np.ones((1, 3)), transA=1).model()
    assert [p.node for p in dry_run(saved(model, tmp_path), "bipolar").problems] == ["mystery1"]


def test_a_node_that_does_not_run_is_one_problem_of_all(tmp_path: Path) -> None:
    model = Builder((1, 6)).then("MatMul", SIGNS).then("MatMul", np.ones((5, 2), np.float32)).model()
    (found,) = dry_run(saved(model, tmp_path), "bipolar").problems
    assert found.node == "matmul1"
    assert found.why.startswith("does not run: ")
    assert found.fix == "export the network again: `arbonn train` or brevitas.export.export_qonnx"


def test_of_a_network_as_a_whole(tmp_path: Path) -> None:
    (found,) = dry_run(saved(Builder((1, 6)).then("Relu").model(), tmp_path), "bipolar").problems
    allowed = "networks with at least one Conv, MatMul or Gemm by constant weights"
    assert tuple(vars(found).values()) == ("net.onnx", "", "no linear layer", allowed)


@given(case=cases())
@settings(max_examples=30)
def test_what_lowers_has_no_problem(case: Case) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        result = dry_run(saved(case.model(), Path(folder)), case.contract)
    assert result.problems == []
    assert [(layer.weights, layer.shape, layer.after) for layer in result.layers] == [
        (list(layer.latent.shape), [layer.latent.shape[1]], [len(layer.latent)]) for layer in case.layers
    ]


def test_a_dry_run_needs_no_library_that_only_work_needs(tmp_path: Path) -> None:
    path = saved(Builder((1, 6)).then("MatMul", SIGNS).model(), tmp_path)
    code = (
        "import sys; from pathlib import Path; from arbonn.flows.commands.dry import dry_run_answer\n"
        f"assert dry_run_answer(Path({str(path)!r}), 'bipolar', None).exit_code == 0\n"
        "heavy = {'torch', 'brevitas', 'numba', 'sklearn', 'amaranth', 'scipy', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_exit_codes_and_json(tmp_path: Path) -> None:
    path = saved(Builder((1, 6)).then("MatMul", SIGNS).then("Hardmax").model(), tmp_path)
    done = arbonn("lower", path, "--dry-run", "--input", "bipolar", "--json", "--out", tmp_path / "build")
    assert done.returncode == 2
    assert json.loads(done.stdout)["problems"] == [{"node": "hardmax1", "operator": "Hardmax", "why": "has no lowering", "fix": LIST}]
    assert not (tmp_path / "build").exists()
    good = dry_run_answer(saved(Builder((1, 6)).then("MatMul", SIGNS).model(), tmp_path), "bipolar", None)
    assert good.exit_code == 0
    assert (good.data["lowers"], good.data["weight_bits"], good.data["input"]) == (True, 18, "bipolar,scale=1 (option)")
    assert good.data["layers"] == [
        {"node": "matmul0", "operator": "MatMul", "shape": [6], "after": [3], "weights": [3, 6], "weight_bits": 18}
    ]
    missing = arbonn("lower")
    assert (missing.returncode, missing.stderr) == (
        2, "InputError: arbonn lower: missing argument 'MODEL'\n  fix      see `arbonn lower --help`\n",
    )  # fmt: skip


def test_every_operator_is_listed_with_how_it_lowers() -> None:
    rows = operator_list()
    assert [row.name for row in rows] == [*OPERATORS, "XnorPopcountMatMul"]
    assert [row.name for row in rows if row.group == "other"] == []
    listed = json.loads(arbonn("lower", "--list-operators", "--json").stdout)["operators"]
    assert [row["name"] for row in listed] == [row.name for row in rows]
