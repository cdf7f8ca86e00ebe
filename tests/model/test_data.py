"""Data: the split is what the recipe says, codes mean what the contract says, and augmentation knows no order."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.errors import DataError
from arbonn.model.data import AUGMENTATIONS, DataSet, Split, augment, load, uniform
from arbonn.model.recipe import Augmentation, DataConfig


@pytest.fixture(scope="module")
def digits():
    return load(DataConfig(name="digits"))


def test_the_split_is_stratified_disjoint_and_complete(digits):
    parts = (digits.train, digits.val, digits.test)
    assert [len(part) for part in parts] == [1257, 180, 360]
    for part in parts:
        share = np.bincount(part.labels) / len(part)
        assert abs(share - 0.1).max() < 0.015
    whole = np.concatenate([part.codes for part in parts])
    again = load(DataConfig(name="digits", split_seed=1))
    assert sorted(map(bytes, whole)) == sorted(map(bytes, np.concatenate([again.train.codes, again.val.codes, again.test.codes])))
    assert not np.array_equal(digits.test.codes, again.test.codes)


def test_codes_are_what_the_contract_says(digits):
    assert digits.contract == "uint5,scale=1/16,high=16"
    assert digits.train.codes.dtype == np.uint8
    assert digits.train.codes.max() == 16
    every = np.arange(17, dtype=np.uint8)
    assert digits.to_float(every).dtype == np.float32
    assert digits.to_float(every).tolist() == [code / 16 for code in range(17)]


def test_frames_are_images_or_features_of_the_same_codes(digits):
    assert (digits.image, digits.frame) == ((1, 8, 8), (64,))
    images = digits.framed(True)
    assert (images.frame, images.train.codes.dtype) == ((1, 8, 8), np.uint8)
    assert np.array_equal(images.framed(False).test.codes, digits.test.codes)


def test_a_limit_draws_training_images_alone_and_keeps_classes_in_proportion(digits):
    few = load(DataConfig(name="digits", limit=100))
    assert (len(few.train), len(few.val), len(few.test)) == (100, 180, 360)
    assert np.array_equal(few.test.codes, digits.test.codes)
    assert np.bincount(few.train.labels).min() >= 9
    assert set(map(bytes, few.train.codes)) <= set(map(bytes, digits.train.codes))
    assert not np.array_equal(load(DataConfig(name="digits", limit=100, split_seed=1)).train.codes, few.train.codes)
    with pytest.raises(DataError) as caught:
        load(DataConfig(name="digits", limit=9))
    assert str(caught.value) == "DataError: data.limit: 9 of 1257 training images\n  allowed  10 to 1247"


def test_images_of_another_size(digits):
    small = load(DataConfig(name="digits", size=(4, 6)))
    assert (small.image, small.frame, small.test.codes.max() <= 16) == ((1, 4, 6), (24,), True)
    assert abs(small.test.codes.mean() - digits.test.codes.mean()) < 0.2, "a pixel is a mean over what it covers"


def test_a_split_that_leaves_nothing():
    with pytest.raises(DataError) as caught:
        load(DataConfig(name="digits", test=1700, val=95))
    assert str(caught.value) == "DataError: data: val = 95, test = 1700 of 1797 images\n  allowed  at least 10 images in each part"


def test_every_augmentation_has_a_name_in_recipes():
    assert set(AUGMENTATIONS) == set(get_args(Augmentation))


@settings(max_examples=25)  # each example augments up to 16 images, one at a time too
@given(seed=st.integers(0, 5), epoch=st.integers(0, 5), data=st.data())
def test_an_image_is_changed_alike_in_any_company(digits, seed, epoch, data):
    names = tuple(AUGMENTATIONS)
    index = np.array(data.draw(st.lists(st.integers(0, 1256), min_size=1, max_size=8, unique=True)))
    choice = np.array(data.draw(st.lists(st.integers(0, len(names) - 1), min_size=len(index), max_size=len(index))))
    together = augment(digits, names, choice, index, seed, epoch)
    assert together.max() <= 16
    order = np.random.default_rng(seed).permutation(len(index))
    assert np.array_equal(augment(digits, names, choice[order], index[order], seed, epoch), together[order])
    alone = [augment(digits, names, choice[n : n + 1], index[n : n + 1], seed, epoch)[0] for n in range(len(index))]
    assert np.array_equal(np.stack(alone), together)


def test_every_augmentation_but_none_changes_images_and_epochs_differ(digits):
    index = np.arange(200)
    for name in AUGMENTATIONS:
        first, second = (augment(digits, (name,), np.zeros(200, int), index, 0, epoch) for epoch in (0, 1))
        assert np.array_equal(first, digits.train.codes[:200]) == (name == "none")
        other_seed = augment(digits, (name,), np.zeros(200, int), index, 1, 0)
        assert np.array_equal(first, second) == np.array_equal(first, other_seed) == (name == "none")


@pytest.mark.parametrize("name", ["shift", "crop"])  # an eighth of 8 rows is one pixel
def test_a_shift_moves_whole_pixels(digits, name):
    index = np.arange(300)
    moved = augment(digits, (name,), np.zeros(300, int), index, 0, 0).reshape(-1, 8, 8)
    padded = np.pad(digits.train.codes[index].reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    options = np.stack([padded[:, y : y + 8, x : x + 8] for y in range(3) for x in range(3)])
    equal = (options == moved).all((2, 3))
    assert equal.any(0).all()
    assert equal.any(1).all(), "all nine shifts occur"


@pytest.fixture(scope="module")
def coloured():
    """64 images of 3 planes of 9 rows and 5 columns: each plane what the first is, plus 1 and plus 2."""
    plane = np.random.default_rng(0).integers(0, 200, (64, 1, 9, 5))
    split = Split((plane + np.arange(3)[:, None, None]).astype(np.uint8), np.arange(64) % 2, np.zeros(64, np.int64))
    return DataSet("coloured", "uint8,scale=1/255", (3, 9, 5), 255, (1.0, 255.0), 2, split, split, split)


@pytest.mark.parametrize("name", ["shift", "rotate", "scale", "flip", "crop", "flip-crop"])
def test_all_channels_of_an_image_move_alike(coloured, name):
    index = np.arange(64)
    moved = augment(coloured, (name,), np.zeros(64, int), index, 0, 0).astype(int)
    assert moved.shape == (64, 3, 9, 5)
    inside = moved[:, 2] > 3  # zeros come in from outside, and a mean with them is rounded
    assert (abs(moved[:, 1] - moved[:, 0])[inside] <= 1).all()
    flat = augment(coloured.framed(False), (name,), np.zeros(64, int), index, 0, 0)
    assert np.array_equal(flat.reshape(moved.shape), moved), "the same for frames of features"


def test_a_flip_mirrors_half_of_the_images(coloured):
    moved = augment(coloured, ("flip",), np.zeros(64, int), np.arange(64), 0, 0)
    mirrored = (moved == coloured.train.codes[..., ::-1]).all((1, 2, 3))
    assert (mirrored | (moved == coloured.train.codes).all((1, 2, 3))).all()
    assert 16 < mirrored.sum() < 48


def test_draws_are_even_and_unrelated():
    first, second = uniform(0, 0, np.arange(20_000), 0), uniform(0, 0, np.arange(20_000), 1)
    assert abs(np.histogram(first, 10, (0, 1))[0] - 2000).max() < 200
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
