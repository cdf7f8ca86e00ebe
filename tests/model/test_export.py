"""The exported file: what is in it, that it depends on nothing but the recipe, and that QONNX computes what torch computes."""

from __future__ import annotations

import json
from collections import Counter
from importlib.metadata import version

import numpy as np
import onnx
import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.change_batchsize import ChangeBatchSize
from qonnx.transformation.infer_shapes import InferShapes

from arbonn.model import data as datasets
from arbonn.model.layers import SignActivation, binary_layers
from arbonn.model.train import build, train


@pytest.fixture(scope="module", params=["ste", "arbonn"])
def exported(request, tmp_path_factory):
    """(recipe, file, network of the selected epoch, data): a trained net and what was written of it."""
    from arbonn.model.recipe import TrainRecipe
    from arbonn.settings import parse

    torch.set_num_threads(1)
    recipe = parse(
        {
            "name": "small",
            "data": {"name": "digits", "augment": ["none", "shift"]},
            "network": {"sizes": [48, 32]},
            "method": {"name": request.param},
            "train": {"epochs": 6, "tensorboard": False},
        },
        TrainRecipe,
        "test",
    )
    folder = tmp_path_factory.mktemp(request.param)
    outcome = train(recipe, folder)
    data = datasets.load(recipe.data)
    _, network = build(recipe, data)
    network.load_state_dict(torch.load(outcome.checkpoint, weights_only=True)["run"]["best"]["model"])
    return recipe, outcome, network.eval(), data


def test_names_operators_and_shapes(exported):
    model = onnx.load(exported[1].model)
    onnx.checker.check_model(model)
    assert [(port.name, [d.dim_value for d in port.type.tensor_type.shape.dim]) for port in model.graph.input] == [("x", [1, 64])]
    assert [(port.name, [d.dim_value for d in port.type.tensor_type.shape.dim]) for port in model.graph.output] == [("logits", [1, 10])]
    assert Counter(node.op_type for node in model.graph.node) == {
        "BipolarQuant": 5,  # three weights, two activations
        "Transpose": 3,
        "MatMul": 3,
        "BatchNormalization": 3,
        "Add": 2,
    }
    assert {(entry.domain, entry.version) for entry in model.opset_import} == {("", 13), ("qonnx.custom_op.general", 2)}
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    assert {"/fc0/MatMul", "/norm0/BatchNormalization", "/sign0/Add", "/fc2/MatMul"} <= set(names)


def test_metadata(exported):
    recipe, outcome, _, data = exported
    metadata = {entry.key: entry.value for entry in onnx.load(outcome.model).metadata_props}
    assert metadata["arbonn.input"] == data.contract
    provenance = json.loads(metadata["arbonn.provenance"])
    assert provenance["recipe"] == json.loads(json.dumps(recipe.training()))
    assert provenance["recipe"]["seed"] == 0
    assert provenance["versions"]["torch"] == version("torch")  # torch.__version__ adds how it was built


def test_the_file_depends_on_nothing_but_the_recipe(exported, tmp_path):
    recipe, outcome, _, _ = exported
    again = train(recipe, tmp_path / "elsewhere")
    written = outcome.model.read_bytes()
    assert again.model.read_bytes() == written
    assert str(outcome.model.parent).encode() not in written
    assert b"site-packages" not in written
    assert b".py" not in written


def test_weights_are_bits_and_one_positive_scale_a_channel(exported):
    _, outcome, network, _ = exported
    model = ModelWrapper(str(outcome.model))
    for name, layer in binary_layers(network).items():
        (quant,) = [node for node in model.graph.node if node.op_type == "BipolarQuant" and node.name.startswith(f"/{name}/")]
        bits, scale = (model.get_initializer(tensor) for tensor in quant.input)
        assert set(np.unique(bits)) <= {-1.0, 1.0}
        assert np.array_equal(bits > 0, layer.bits().numpy())
        assert scale.shape == (layer.out_features, 1)
        assert (scale > 0).all()
        assert np.array_equal(bits * scale, layer.effective_weight().numpy())


def test_qonnx_computes_what_torch_computes(exported):
    """By the rule "What exact means": a bit may differ only where torch's own value is a rounding away from the threshold."""
    _, outcome, network, data = exported
    inputs = data.to_float(data.test.codes)
    model = ModelWrapper(str(outcome.model)).transform(ChangeBatchSize(len(inputs))).transform(InferShapes())
    execution = execute_onnx(model, {"x": inputs}, return_full_exec_context=True)

    seen: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, module in network.named_modules():
        if isinstance(module, SignActivation):

            def keep(module, args, output, name=name) -> None:
                seen[name] = ((args[0] + module.beta).detach().numpy(), output.detach().numpy())

            module.register_forward_hook(keep)
    with torch.no_grad():
        logits = network(torch.from_numpy(inputs)).numpy()

    near = np.zeros(len(inputs), bool)
    for node in model.graph.node:
        name = node.name.split("/")[1]
        if node.op_type == "BipolarQuant" and name in seen:
            values, bits = seen[name]
            differs = execution[node.output[0]] != bits
            assert (np.abs(values[differs & ~near[:, None]]) < 1e-5).all()
            near |= differs.any(1)
    assert near.mean() < 0.02, "ties are rare"
    assert np.abs(execution["logits"] - logits)[~near].max() < 1e-4
    top = np.sort(logits, 1)
    decided = ~near & (top[:, -1] - top[:, -2] > 1e-4)
    assert np.array_equal(execution["logits"].argmax(1)[decided], logits.argmax(1)[decided])
    assert decided.mean() > 0.98
    assert (logits.argmax(1) == data.test.labels).mean() == outcome.float_accuracy


def test_what_is_exported_knows_no_domains(exported):
    """The domain norm writes BatchNorm's own numbers: its running averages, nothing of a label."""
    _, outcome, network, _ = exported
    model = ModelWrapper(str(outcome.model))
    for number in range(2):
        (node,) = [node for node in model.graph.node if node.name == f"/norm{number}/BatchNormalization"]
        norm = getattr(network, f"norm{number}")
        written = [model.get_initializer(tensor) for tensor in node.input[1:]]
        for value, expected in zip(written, (norm.weight, norm.bias, norm.running_mean, norm.running_var), strict=True):
            assert np.array_equal(value, expected.detach().numpy())
