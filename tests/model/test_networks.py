"""Networks: what each family is, that its file lowers to what torch computes, and that RTL gives the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from arbonn.errors import DataError, LoweringError, RecipeError
from arbonn.flows.buffers import size_buffers
from arbonn.flows.lowering.lower import Lowered, LowerOptions, lower
from arbonn.flows.recipe import Recipe
from arbonn.flows.run import run
from arbonn.model.batches import load
from arbonn.model.data import DataSet
from arbonn.model.export import export
from arbonn.model.layers import BinaryConv2d, BinaryLinear, SignActivation, binary_layers
from arbonn.model.recipe import METHODS, NETWORKS, NetworkConfig
from arbonn.model.residual import RPRelu, Stream
from arbonn.model.train import build
from arbonn.sim import fast
from arbonn.sim.check import CheckOptions, check

SMALL = {
    "bit-mlp": {"sizes": [20, 16], "input_thresholds": [0.25, 0.5]},
    "mlp": {"sizes": [24, 16]},
    "tfc": {},
    "sfc": {"sizes": [20, 12]},
    "lfc": {"sizes": [20]},
    "cnn": {"channels": [4, 6]},
    "cnv": {"channels": [4, 4], "sizes": [8]},
    "vgg-small": {"channels": [4, 4, 6, 6], "sizes": [12]},
    "resnet8": {"channels": [4, 8]},
    "resnet18": {"channels": [2]},
    "resnet20": {"channels": [2]},
}
"""Every network at a size for 8x8 images."""


def statistics(network: nn.Module, data: DataSet) -> nn.Module:
    """The untrained network with norms that have seen the data, and shifts that are not all zero."""
    inputs = torch.from_numpy(data.to_float(data.train.codes))
    for module in network.modules():
        if isinstance(module, SignActivation):
            module.beta.data.normal_(0, 0.2)
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.weight.data.normal_()  # falling channels too
            module.bias.data.normal_(0, 0.3)
        if isinstance(module, RPRelu):
            for parameter in module.parameters():
                parameter.data.normal_(0, 0.4)
    with torch.no_grad():
        for batch in inputs.split(64)[:8]:
            network.train()(batch)
    return network.eval()


def lowered(network: nn.Module, data: DataSet, recipe, folder: Path, samples: int = 20) -> Lowered:
    export(network, folder / "model.onnx", recipe, data.contract, data.frame)
    return lower(folder / "model.onnx", LowerOptions(samples=data.test.codes[:samples].astype(np.int64)))


def labels(found: Lowered, data: DataSet) -> np.ndarray:
    codes = data.test.codes.astype(np.int64)
    stream = found.graph.inputs[0]
    frames = np.moveaxis(codes.reshape(len(codes), stream.shape[-1], *stream.shape[:-1]), 1, -1)
    return fast.execute(found.graph, {stream.id: np.ascontiguousarray(frames)}, ["label"])["label"][:, 0]


def agree(found: Lowered, network: nn.Module, data: DataSet) -> None:
    """No mismatch with QONNX's own execution, and torch's labels on every test image but where two logits are next to equal."""
    assert not found.verification.mismatches
    logits = network(torch.from_numpy(data.to_float(data.test.codes))).detach().numpy()
    top = np.sort(logits, 1)
    decided = top[:, -1] - top[:, -2] > 1e-4
    differs = labels(found, data) != logits.argmax(1)
    assert differs[decided].mean() < 0.01, "a bit that a rounding decides may change a label"
    assert decided.mean() > 0.95


CASES = {
    **SMALL,
    "cnn, 8-bit edges": {"channels": [4, 6], "first_last": "int8"},
    "resnet8, 1x1 shortcuts": {"channels": [4, 6], "shortcut": "conv", "stream_bits": 3},
}


@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.slow] * (case == "resnet20")) for case in CASES])
def test_every_network_lowers_to_what_torch_computes(recipe, tmp_path, case):
    wanted = recipe(network={"name": case.split(",")[0], **CASES[case]})
    data = load(wanted)
    _, network = build(wanted, data)
    found = lowered(statistics(network, data), data, wanted, tmp_path)
    agree(found, network, data)
    written = (tmp_path / "model.onnx").read_bytes()
    export(network, tmp_path / "again.onnx", wanted, data.contract, data.frame)
    assert (tmp_path / "again.onnx").read_bytes() == written
    names = [node.name for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert len(set(names)) == len(names)
    assert any(node.startswith(("/conv0/", "/fc0/")) for node in names)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_rtl_of_every_network_is_the_model(recipe, tmp_path, case):
    wanted = recipe(network={"name": case.split(",")[0], **CASES[case]})
    data = load(wanted)
    _, network = build(wanted, data)
    graph = size_buffers(lowered(statistics(network, data), data, wanted, tmp_path).graph, {})
    codes, stream = data.test.codes[:2].astype(np.int64), graph.inputs[0]
    frames = np.moveaxis(codes.reshape(2, stream.shape[-1], *stream.shape[:-1]), 1, -1)
    seen = check(graph, {stream.id: frames}, tmp_path / "check", CheckOptions({"icarus": None}, stalls=(0.0, 0.3), required=("icarus",)))
    assert (seen.bit_mismatches, seen.cycle_mismatches, seen.violations, seen.first_difference) == (0, 0, 0, None)
    assert seen.transfers > 4 * len(codes)


def test_every_network_of_the_tree_is_tested():
    assert set(SMALL) == set(NETWORKS.names())


def test_the_sizes_are_the_published_ones(method):
    ste = method("ste")

    def binary(name: str, image: tuple[int, int, int]) -> list[tuple[int, ...]]:
        from arbonn.model.networks import build

        network = build(NetworkConfig(name=name), image, 10, ste)
        return [tuple(layer.weight.shape[:2]) for layer in binary_layers(network).values()]

    mnist, cifar = (1, 28, 28), (3, 32, 32)
    assert binary("tfc", mnist) == [(64, 784), (64, 64), (64, 64), (10, 64)]
    assert binary("sfc", mnist) == [(256, 784), (256, 256), (256, 256), (10, 256)]
    assert binary("lfc", mnist) == [(1024, 784), (1024, 1024), (1024, 1024), (10, 1024)]
    assert binary("cnv", cifar) == [(64, 3), (64, 64), (128, 64), (128, 128), (256, 128), (256, 256), (512, 256), (512, 512), (10, 512)]
    assert binary("vgg-small", cifar) == [(128, 3), (128, 128), (256, 128), (256, 256), (512, 256), (512, 512), (10, 8192)]
    r20 = binary("resnet20", cifar)
    assert (len(r20), r20[0], r20[7:9], r20[-2:]) == (20, (16, 3), [(32, 16), (32, 32)], [(64, 64), (10, 64)])
    r18 = binary("resnet18", cifar)
    assert (len(r18), r18[0], r18[-2:]) == (18, (64, 3), [(512, 512), (10, 512)])
    assert len(binary("resnet8", cifar)) == 8
    assert binary("cnn", mnist) == [(32, 1), (64, 32), (64, 64), (10, 576)]


@pytest.mark.parametrize("name", ["cnn", "vgg-small"])
def test_inside_a_network_maps_are_padded_by_a_bit(recipe, name):
    _, network = build(wanted := recipe(network={"name": name, **SMALL[name]}), load(wanted))
    convolutions = [layer for layer in network if isinstance(layer, BinaryConv2d)]
    pads = [layer.value for layer in network if isinstance(layer, nn.ConstantPad2d)]
    assert [layer.padding for layer in convolutions] == [(1, 1)] + [(0, 0)] * (len(convolutions) - 1)
    assert pads == [-1.0] * (len(convolutions) - 1)


def test_a_colour_image(recipe, tmp_path):
    wanted = recipe(network={"name": "cnn", "channels": [3, 4]})
    grey = load(wanted)
    random = np.random.default_rng(0)

    def coloured(split):
        planes = [split.codes, 16 - split.codes, random.integers(0, 17, split.codes.shape).astype(np.uint8)]
        return type(split)(np.concatenate(planes, 1), split.labels, split.domains)

    data = DataSet(**{**vars(grey.each(coloured)), "shape": (3, 8, 8)})
    _, network = build(wanted, data)
    assert network.conv0.in_channels == 3
    agree(lowered(statistics(network, data), data, wanted, tmp_path), network, data)


def test_real_first_and_last_layers_train_and_are_refused_by_the_lowering(recipe, tmp_path):
    wanted = recipe(network={"name": "cnn", "channels": [4, 6], "first_last": "real"})
    data = load(wanted)
    _, network = build(wanted, data)
    assert list(binary_layers(network)) == ["conv1"]
    with pytest.raises(LoweringError) as caught:
        lowered(statistics(network, data), data, wanted, tmp_path)
    assert str(caught.value).endswith(
        "weights that are no small integers times one scale\n"
        "  allowed  one magnitude a row (bipolar), or integers of at most 8 bits times one scale a row\n"
        "  fix      train with quantized weights"
    )


def test_a_run_for_hardware_refuses_real_layers_before_it_trains(recipe, tmp_path):
    wanted = recipe(network={"name": "cnn", "first_last": "real"})
    with pytest.raises(RecipeError) as caught:
        run(Recipe(**vars(wanted)), tmp_path / "build")
    assert str(caught.value) == (
        "RecipeError: small: network.first_last: `real` first and last layers, which train and do not lower\n"
        '  allowed  binary, int8\n  fix      first_last = "int8", or `arbonn train` for its accuracy alone'
    )
    assert not (tmp_path / "build").exists()


def test_images_that_are_too_small(recipe):
    wanted = recipe(network={"name": "cnv"})
    with pytest.raises(DataError) as caught:
        build(wanted, load(wanted))
    assert str(caught.value) == (
        "DataError: network.name: cnv: images too small: nothing is left of them at conv2\n"
        "  allowed  images of a size that the network's convolutions and poolings leave something of\n"
        "  fix      set data.size, or fewer network.channels"
    )


def test_a_shortcut_s_branches_are_on_one_grid_of_few_bits(recipe):
    wanted = recipe(network={"name": "resnet8", "channels": [4, 8], "stream_bits": 3})
    data = load(wanted)
    _, network = build(wanted, data)
    statistics(network, data)
    seen = []
    for module in network.modules():
        if isinstance(module, Stream):
            module.register_forward_hook(lambda module, args, output: seen.append(output))
    network(torch.from_numpy(data.to_float(data.test.codes[:20])))
    assert len(seen) == 10, "the first, two for each of four blocks, and one of the shortcut that widens"
    for output in seen:
        assert torch.equal(output * 2, (output * 2).round())
        assert (output.min() >= -2, output.max() <= 1.5) == (True, True)
    assert len(torch.cat([output.flatten() for output in seen]).unique()) == 8


def test_an_image_that_a_resnet_cannot_halve(recipe):
    wanted = recipe(network={"name": "resnet8", "channels": [2, 4]}, data={"name": "digits", "size": [8, 6]})
    build(wanted, load(wanted))
    wanted = recipe(network={"name": "resnet8", "channels": [2, 4, 8]}, data={"name": "digits", "size": [8, 6]})
    with pytest.raises(DataError) as caught:
        build(wanted, load(wanted))
    assert str(caught.value) == (
        "DataError: network.name: resnet8: images of 8x6, 4x3 in stage 2, which cannot be halved\n"
        "  allowed  sides that are multiples of 4\n  fix      set data.size"
    )


@pytest.mark.parametrize(
    ("network", "text"),
    [
        ({"name": "mlp"},
         "network.sizes: nothing\n  allowed  features of each hidden layer of an mlp\n  fix      add `sizes = [128, 128]`, say"),
        ({"name": "tfc", "channels": [3]}, "network.channels: `tfc` has none\n  allowed  sizes\n  fix      leave channels out"),
        ({"name": "cnn", "stream_bits": 3},
         "network.stream_bits: `cnn` has none\n  allowed  sizes, channels\n  fix      leave stream_bits out"),
        (
            {"name": "cnn", "channels": [4], "first_last": "int8"},
            "network.first_last: `int8` first and last layers, and no binary one between them\n"
            '  allowed  a network of at least three layers\n  fix      add a layer, or first_last = "binary"',
        ),
        (
            {"name": "resnet8", "channels": [4, 6]},
            "network.channels: 6 channels behind 4\n  allowed  twice as many in each stage, as a concatenation of two gives\n"
            '  fix      shortcut = "conv" takes any number',
        ),
        (
            {"name": "resnet8", "block": "nf"},
            'network.block: `resnet8` has no norm-free form\n  allowed  bn\n  fix      block = "bn"',
        ),
    ],
)  # fmt: skip
def test_settings_that_a_network_lacks_or_does_not_have(recipe, network, text):
    wanted = recipe(network=network)
    with pytest.raises(RecipeError) as caught:
        build(wanted, load(wanted))
    assert str(caught.value) == f"RecipeError: {text}"


BINARIZERS = [name for name in METHODS.names() if METHODS.get(name, "").role == "binarizer"]


@pytest.mark.parametrize("name", BINARIZERS)
def test_a_convolution_has_the_bits_and_the_gradient_of_its_flattened_weights(method, name):
    """So one scale belongs to one output channel, whatever the method's scale is."""
    torch.manual_seed(5)
    conv, linear = BinaryConv2d(3, 4, 2, method(name).binarizer), BinaryLinear(12, 4, method(name).binarizer)
    state = {key: value.flatten(1) if value.dim() == 4 else value for key, value in conv.state_dict().items()}
    linear.load_state_dict(state)
    assert torch.equal(conv.effective_weight().flatten(1), linear.effective_weight())
    assert torch.equal(conv.bits().flatten(1), linear.bits())
    x = torch.randn(5, 3, 2, 2)
    for layer, given in ((conv, x), (linear, x.flatten(1))):
        (layer(given).flatten(1) * torch.arange(4)).sum().backward()
    assert torch.allclose(conv.weight.grad.flatten(1), linear.weight.grad, atol=1e-5)
    for mine, other in (
        zip(conv.binarizer.parameters(), linear.binarizer.parameters(), strict=True) if hasattr(conv.binarizer, "parameters") else ()
    ):
        assert torch.allclose(mine.grad, other.grad, atol=1e-4)
