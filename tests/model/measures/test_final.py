"""Measures of the finished network: laws that hold for any network, and figures that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from arbonn.model.measures.base import Measures
from arbonn.model.measures.corruption import Corruption
from arbonn.model.measures.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from arbonn.model.measures.domain_flips import DomainFlips
from arbonn.model.measures.images import error, shown_bits
from arbonn.model.measures.sharpness import Sharpness
from arbonn.model.measures.sigma_gap import SigmaGap
from arbonn.model.measures.size import Size
from arbonn.model.recipe import MEASURES


def test_the_ascent_rises_more_than_any_random_direction_and_leaves_no_trace(scene):
    here = scene(measures={"rho": [0.01, 0.1], "directions": 4, "images": 100})
    before = {name: value.clone() for name, value in here.network.state_dict().items()}
    found = Sharpness(here).final()
    for rho in ("0.01", "0.1"):
        assert found[f"sharpness_{rho}"] > found[f"sharpness_{rho}_worst"] >= found[f"sharpness_{rho}_mean"]
    assert found["sharpness_0.1"] > found["sharpness_0.01"] > 0
    assert Sharpness(here).final() == found
    assert all(torch.equal(value, before[name]) for name, value in here.network.state_dict().items())
    assert all(parameter.grad is None for parameter in here.network.parameters())
    assert all(layer.quantizer.perturbation is None and not layer.quantizer.record for layer in here.layers.values())


def test_variations_that_change_nothing_flip_no_bit(scene):
    one = scene(data={"name": "digits", "augment": ["none", "none"]}, measures={"images": 60})
    assert DomainFlips(one).final() == {"domain_flips": 0.0, "domain_flips_ratio": 0.0}
    two = scene(data={"name": "digits", "augment": ["none", "noise", "shift"]}, measures={"images": 60})
    found = DomainFlips(two).final()
    assert 0 < found["domain_flips"] < 0.5
    assert found["domain_flips_ratio"] > 0
    assert DomainFlips(scene(data={"name": "digits"})).final() == {}


def test_every_activation_bit_is_shown(scene):
    here = scene()
    bits = shown_bits(here, here.data.test.codes[:7])
    assert bits.shape == (7, 24 + 16)
    assert bits.dtype == torch.bool


def test_the_error_is_counted_over_batches(scene):
    here = scene()
    labels = torch.from_numpy(here.data.test.labels)
    wrong = (here.network(torch.from_numpy(here.data.to_float(here.data.test.codes))).argmax(1) != labels).double().mean()
    assert error(here, here.data.test.codes, labels, batch=77) == pytest.approx(float(wrong))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_a_function_of_its_seed_and_grows_with_its_severity(name, scene):
    codes = scene().data.test.codes
    made = [corrupt(codes, (1, 8, 8), 16, name, severity, 0).astype(int) for severity in SEVERITIES]
    assert np.array_equal(made[2], corrupt(codes, (1, 8, 8), 16, name, 3, 0))
    distance = [np.abs(one - codes.astype(int)).mean() for one in made]
    assert distance[0] > 0
    assert distance == sorted(distance)
    assert all(one.shape == codes.shape and one.min() >= 0 and one.max() <= 16 for one in made)
    assert np.array_equal(codes, scene().data.test.codes)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_channels_of_an_image_are_corrupted_alike_but_for_noise(name, scene):
    plane = scene().data.test.codes[:30].reshape(-1, 1, 8, 8)
    made = corrupt(np.repeat(plane, 3, axis=1), (3, 8, 8), 16, name, 4, 0).astype(int)
    alike = all(np.array_equal(made[:, 0], made[:, channel]) for channel in (1, 2))
    assert alike == ("noise" not in name)
    if alike:
        assert np.array_equal(made[:, :1], corrupt(plane, (1, 8, 8), 16, name, 4, 0)), "the same as of the grey image"


def test_no_channel_is_blurred_into_another():
    codes = np.repeat(np.array([0, 8, 16], np.uint8), 20)[None]
    assert np.array_equal(corrupt(codes, (3, 4, 5), 16, "blur", 5, 0), codes)


def test_the_corruption_error_is_the_mean_of_its_kinds(scene):
    found = Corruption(scene(data={"name": "digits", "test": 50})).final()
    kinds = [value for name, value in found.items() if "/" in name]
    assert len(kinds) == len(CORRUPTIONS) == 8
    assert found["corruption_error"] == pytest.approx(sum(kinds) / 8)
    assert 0 < found["clean_error"] <= 1


def test_sigma_gap_takes_the_teacher_that_is_there_and_else_trains_the_same_one(scene):
    trained = SigmaGap(scene(measures={"teacher_epochs": 1}, method={"name": "irnet"}))
    found = trained.final()
    assert found["sigma_gap"] == found["sigma_gap_plain"] > 0
    taught = scene(measures={"teacher_epochs": 1}, method={"name": "lcr", "teacher_epochs": 1})
    taught.method.teacher.load_state_dict(trained._twin().state_dict())
    assert SigmaGap(taught).final() == pytest.approx(found)
    taught.method.factors.data.fill_(2.0)
    assert SigmaGap(taught).final()["sigma_gap"] != pytest.approx(found["sigma_gap"])
    assert SigmaGap(scene(network={"name": "mlp", "sizes": [8]})).final() == {}


def test_size_counted_by_hand(scene):
    found = Size(scene()).final()
    norms, signs, scales = 4 * (24 + 16 + 10), 24 + 16, 24 + 16 + 10
    assert found == {
        "model_bytes": 64 * 24 // 8 + 24 * 16 // 8 + 16 * 10 // 8 + 4 * (norms + signs + scales),
        "binary_ops": 24 * 16 + 16 * 10,
        "multi_bit_ops": 64 * 24,
        "ops": 64 * 24 + (24 * 16 + 16 * 10) / 64,
    }


@pytest.mark.parametrize(("edge", "octets"), [("int8", 1), ("real", 4)])
def test_size_counts_first_and_last_layers_of_more_bits(scene, edge, octets):
    found = Size(scene(network={"name": "mlp", "sizes": [24, 16], "first_last": edge})).final()
    norms, signs = 4 * (24 + 16 + 10), 24 + 16
    scales = 16 + (24 + 10 if edge == "int8" else 0)
    assert found == {
        "model_bytes": 24 * 16 // 8 + octets * (64 * 24 + 16 * 10) + 4 * (norms + signs + scales),
        "binary_ops": 24 * 16,
        "multi_bit_ops": 64 * 24 + 16 * 10,
        "ops": 64 * 24 + 16 * 10 + 24 * 16 / 64,
    }
    maps = {"name": "cnn", "channels": [4, 6], "sizes": [], "first_last": edge}
    found = Size(scene(network=maps, data={"name": "digits"})).final()
    assert (found["multi_bit_ops"], found["binary_ops"]) == (4 * 9 * 64 + 24 * 10, 4 * 6 * 9 * 16)


def test_every_measure_works_on_convolutions(scene):
    here = scene(
        network={"name": "cnn", "channels": [4, 6], "sizes": [5]}, method={"name": "irnet"},
        data={"name": "digits", "test": 30, "augment": ["none", "shift"]},
        measures={"images": 30, "teacher_epochs": 1, "directions": 2, "names": sorted(MEASURES.names())},
    )  # fmt: skip
    measures = Measures(here)
    measures.update()
    assert {name.partition("/")[0] for name in measures.epoch()} >= {"flip_rate", "dead_filters", "sparse_gradient"}
    found = measures.final()
    assert found["sigma_gap"] > 0
    assert 0 < found["domain_flips"] < 1
    assert 0 < found["corruption_error"] <= 1
    assert found["sharpness_0.3"] > 0
    layers = list(here.layers.values())
    # Maps of 8x8 in front of the first maximum over 2x2, of 4x4 in front of the second.
    assert found["multi_bit_ops"] == layers[0].weight.numel() * 64
    assert found["binary_ops"] == layers[1].weight.numel() * 16 + sum(layer.weight.numel() for layer in layers[2:])
