"""Data sets with domains: what is left out is seen by nothing but the test, and what validates comes from every training domain."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arbonn.errors import DataError, TrainError
from arbonn.model.data import DataSet, inputs, load
from arbonn.model.data.digit_domains import styled
from arbonn.model.data.domain_folder import LAYOUT
from arbonn.model.data.rotated import NAMES
from arbonn.model.recipe import DataConfig
from arbonn.model.train import train


def refusal(**config: object) -> str:
    with pytest.raises(DataError) as caught:
        load(DataConfig(**config))
    return str(caught.value)


def images(*splits) -> list[tuple[bytes, int]]:
    return sorted((bytes(codes), int(label)) for split in splits for codes, label in zip(split.codes, split.labels, strict=True))


@pytest.fixture(scope="module")
def whole() -> DataSet:
    return load(DataConfig(name="rotated-digits"))


@pytest.mark.parametrize("name", NAMES)
def test_the_domain_left_out_is_the_test_set_and_no_other(whole, name):
    data = load(DataConfig(name="rotated-digits", leave_out=name))
    number = NAMES.index(name)
    everywhere = (whole.train, whole.val, whole.test)
    assert images(data.train, data.val, data.test) == images(*everywhere), "each image once"
    assert images(data.test) == images(*(split.take(np.flatnonzero(split.domains == number)) for split in everywhere))
    assert data.domain_names == (*(other for other in NAMES if other != name), name)
    assert set(data.test.domains) == {5}
    for place, other in enumerate(data.domain_names[:-1]):
        own = [split.take(np.flatnonzero(split.domains == place)) for split in (data.train, data.val)]
        assert images(*own) == images(*(split.take(np.flatnonzero(split.domains == NAMES.index(other))) for split in everywhere))


def test_validation_is_a_fifth_of_each_training_domain_with_every_class(whole):
    data = load(DataConfig(name="rotated-digits", leave_out="0deg"))
    share = np.bincount(data.val.domains) / np.bincount(np.concatenate([data.val.domains, data.train.domains]))
    assert abs(share - 0.2).max() < 0.01
    assert {(d, c) for d, c in zip(data.val.domains, data.val.labels, strict=True)} == {(d, c) for d in range(5) for c in range(10)}
    assert len(load(DataConfig(name="rotated-digits", leave_out="0deg", val=60, test=50)).val) == 60
    assert len(load(DataConfig(name="rotated-digits", leave_out="0deg", val=60, test=50)).test) == 50
    limited = load(DataConfig(name="rotated-digits", leave_out="0deg", limit=100)).train
    assert len(limited) == 100
    assert abs(np.bincount(limited.domains) - 20).max() <= 1


def test_without_one_left_out_every_domain_is_in_every_part(whole):
    assert [len(split) for split in (whole.train, whole.val, whole.test)] == [1258, 180, 359]
    for split in (whole.train, whole.val, whole.test):
        share = np.bincount(split.domains, minlength=6) / len(split)
        assert abs(share - 1 / 6).max() < 0.01
    assert whole.domain_names == NAMES


def test_a_domain_is_turned_by_its_angle_and_another_split_has_the_same_domains(whole):
    data = load(DataConfig(name="rotated-digits", leave_out="75deg", split_seed=3))
    again = load(DataConfig(name="rotated-digits", leave_out="75deg", split_seed=4))
    assert images(data.test) == images(again.test)
    assert images(data.val) != images(again.val)
    plain = {bytes(codes) for codes in load(DataConfig(name="digits", test=20, val=20)).train.codes}
    left = load(DataConfig(name="rotated-digits", leave_out="0deg"))
    assert sum(bytes(codes) in plain for codes in left.test.codes) > 280, "0deg is the digits as they are"
    assert sum(bytes(codes) in plain for codes in left.train.codes) < 5


def test_refusals(whole):
    assert refusal(name="rotated-digits", leave_out="70deg") == (
        "DataError: data.leave_out: 70deg: no domain of rotated-digits\n  allowed  0deg, 15deg, 30deg, 45deg, 60deg, 75deg\n"
        "  fix      did you mean `0deg`?"
    )
    assert refusal(name="digits", leave_out="0deg") == (
        "DataError: data.leave_out: 0deg: data set digits has one domain\n"
        "  allowed  a data set with domains: digit-domains, domain-folder, rotated-digits, rotated-mnist\n"
        "  fix      set data.name, or take data.leave_out away"
    )
    assert refusal(name="rotated-digits", test=1000, val=750) == (
        "DataError: data: val = 750, test = 1000 of 1797 images\n  allowed  at least 60 images in each part"
    )


def test_a_method_of_domains_trains_on_all_but_one(recipe, tmp_path):
    data = {"name": "rotated-digits", "leave_out": "30deg", "limit": 320}
    outcome = train(recipe(method={"name": "arbonn"}, data=data, train={"epochs": 2, "batch": 80}), tmp_path / "run")
    assert len(np.load(outcome.test_labels)) == 300
    with pytest.raises(TrainError) as caught:
        train(recipe(method={"name": "arbonn"}, data=data, train={"epochs": 2, "batch": 64}), tmp_path / "other")
    assert str(caught.value) == (
        "TrainError: train.batch: 64 images from 5 domains\n  allowed  a multiple of 5 with at least 16 images of each domain\n"
        "  fix      batch = 80"
    )


@pytest.fixture
def given() -> str:
    if "ARBONN_DATA" not in os.environ:
        pytest.skip("ARBONN_DATA is not set")
    return os.environ["ARBONN_DATA"]


def test_four_origins_of_digits(given):
    sizes = {"mnist": 5000, "semeion": 1593, "digits": 1797, "styled": 5000}
    for name in ("digits", "styled"):
        size, data = sizes[name], load(DataConfig(name="digit-domains", leave_out=name))
        assert (data.image, data.high, len(data.test)) == ((1, 16, 16), 255, size)
        assert len(data.val) == round(0.2 * (sum(sizes.values()) - size))
        assert data.domain_names[-1] == name
        mean = data.test.codes.mean() / 255
        assert mean > 0.6 if name == "styled" else mean < 0.45, "ink is bright but where it is inverted"
    semeion = data.train.codes[data.train.domains == data.domain_names.index("semeion")]
    assert set(semeion.ravel()) == {0, 255}


def test_the_style_is_inverted_and_half_as_strong():
    codes = np.tile(np.array([0, 255], np.uint8), (1, 50, 50))
    made = styled(codes) / 255
    assert abs(made[..., ::2].mean() - 0.75) < 0.01
    assert abs(made[..., 1::2].mean() - 0.25) < 0.01
    assert abs(made[..., ::2].std() - 0.1) < 0.01
    assert np.array_equal(styled(codes), styled(codes))


@pytest.mark.slow
def test_rotated_mnist(given):
    data = load(DataConfig(name="rotated-mnist", leave_out="15deg", limit=2000))
    assert [len(split) for split in (data.train, data.val, data.test)] == [2000, 11667, 11667]
    assert abs(np.bincount(data.train.domains) - 400).max() <= 1


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Three domains of two classes of eight pictures, none like another."""
    value = 0
    for domain in ("photo", "art", "sketch"):
        for name in ("dog", "cat"):
            (tmp_path / domain / name).mkdir(parents=True)
            for number in range(8):
                value += 5
                Image.new("L", (5, 4), value).save(tmp_path / domain / name / f"{number}.png")
    return tmp_path


def test_a_folder_of_domains(pictures):
    data = load(DataConfig(name="domain-folder", root=str(pictures), leave_out="photo", val=8))
    assert (data.domain_names, data.classes, data.image) == (("art", "sketch", "photo"), 2, (1, 4, 5))
    assert [len(split) for split in (data.train, data.val, data.test)] == [24, 8, 16]
    assert sorted(data.test.codes[:, 0]) == list(range(5, 85, 5))
    before = inputs(DataConfig(name="domain-folder", root=str(pictures)))
    (pictures / "art" / "dog" / "0.png").unlink()
    assert inputs(DataConfig(name="domain-folder", root=str(pictures))) != before


def test_folders_of_domains_that_are_none(pictures):
    config = {"name": "domain-folder", "root": str(pictures)}
    (pictures / "art" / "cow").mkdir()
    assert refusal(**config) == (
        f"DataError: {pictures}/art/cow: a class with no picture\n"
        "  allowed  files of .bmp, .gif, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff, .webp"
    )
    (pictures / "art" / "cow").rmdir()
    (pictures / "sketch" / "cow").mkdir()
    assert refusal(**config) == f"DataError: {pictures}/sketch/cow: a class that the training images lack\n  allowed  cat, dog"
    alone = pictures / "alone"
    (pictures / "photo").rename(alone)
    assert refusal(name="domain-folder", root=str(alone / "dog")) == (
        f'DataError: {alone}/dog: 0 folders of domains\n  allowed  {LAYOUT}\n  fix      data.name = "folder" takes one domain'
    )
