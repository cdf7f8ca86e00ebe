"""Data sets as integer codes, and augmentations of codes that depend on (seed, epoch, index) alone.

The hardware sees codes, so the data are codes from the start; `DataSet.contract` says what a code means as a float, in the words
of the input contract, and `to_float` is that meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arbonn.errors import DataError
from arbonn.model.recipe import DATASETS, DataConfig

Codes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """codes: (N, features) uint8. labels, domains: (N,) int64; a data set without domains of its own has domain 0 only."""

    codes: Codes
    labels: Ints
    domains: Ints

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class DataSet:
    """Training, validation and test images. `shape`: (height, width) of a frame; `high`: the largest code."""

    name: str
    contract: str
    shape: tuple[int, int]
    high: int
    scale: tuple[float, float]
    classes: int
    train: Split
    val: Split
    test: Split

    def to_float(self, codes: Codes) -> npt.NDArray[np.float32]:
        """The input contract: float32(code - zero) * float32(A) / float32(B), here with zero = 0 and scale = (A, B)."""
        return codes.astype(np.float32) * np.float32(self.scale[0]) / np.float32(self.scale[1])


def load(config: DataConfig) -> DataSet:
    """The data set that a recipe names, split as it says."""
    return DATASETS.get(config.name, "data.name")(config)


@DATASETS.register("digits")
def digits(config: DataConfig) -> DataSet:
    """The 1,797 handwritten digits that scikit-learn carries: 8x8 pixels, codes 0..16 (UCI, E. Alpaydin and C. Kaynak, 1998)."""
    from sklearn.datasets import load_digits  # here, since it costs a second

    images, labels = load_digits(return_X_y=True)
    train, val, test = stratified(labels, (config.val, config.test), config.split_seed)
    codes, classes = images.astype(np.uint8), labels.astype(np.int64)

    def take(rows: Ints) -> Split:
        return Split(codes[rows], classes[rows], np.zeros(len(rows), np.int64))

    return DataSet("digits", "uint5,scale=1/16,high=16", (8, 8), 16, (1.0, 16.0), 10, take(train), take(val), take(test))


def stratified(labels: npt.NDArray[np.int64], sizes: tuple[int, int], seed: int) -> tuple[Ints, Ints, Ints]:
    """Row numbers (train, val, test), each class in proportion; `sizes` = (val, test)."""
    from sklearn.model_selection import train_test_split

    val, test = sizes
    classes = len(np.unique(labels))
    if min(val, test) < classes or val + test > len(labels) - classes:
        raise DataError(
            "data",
            found=f"val = {val}, test = {test} of {len(labels)} images",
            allowed=f"at least {classes} images in each part",
        )
    rows = np.arange(len(labels))
    rest, test_rows = train_test_split(rows, test_size=test, stratify=labels, random_state=seed)
    train_rows, val_rows = train_test_split(rest, test_size=val, stratify=labels[rest], random_state=seed)
    return train_rows, val_rows, test_rows


def uniform(seed: int, epoch: int, index: Ints, draw: int) -> npt.NDArray[np.float64]:
    """One number in [0, 1) per entry of `index`, a pure function of its arguments: order and workers cannot change it.

    SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), fed one key after the other.
    """
    state = np.zeros(len(index), np.uint64)
    for key in (np.full(len(index), seed), np.full(len(index), epoch), index, np.full(len(index), draw)):
        state = _mix(state ^ key.astype(np.uint64))
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state = state + np.uint64(0x9E3779B97F4A7C15)  # arrays wrap silently, which is what the mixer wants
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


Draw = Callable[[int], npt.NDArray[np.float64]]


def _warp(images: Codes, matrix: npt.NDArray[np.float64], offset: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Samples (N, H, W) images at `matrix @ (position - centre) + centre + offset`, bilinear, zero outside. matrix: (N, 2, 2)."""
    count, height, width = images.shape
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1) - centre
    at = np.einsum("nij,hwj->nhwi", matrix, grid) + centre + offset[:, None, None, :]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1))).astype(np.float64)
    at = np.clip(at + 1, 0, [height + 1, width + 1])  # into the ring of zeros
    low = np.minimum(np.floor(at).astype(int), [height, width])
    part = at - low
    row, col, n = low[..., 0], low[..., 1], np.arange(count)[:, None, None]
    top = padded[n, row, col] * (1 - part[..., 1]) + padded[n, row, col + 1] * part[..., 1]
    bottom = padded[n, row + 1, col] * (1 - part[..., 1]) + padded[n, row + 1, col + 1] * part[..., 1]
    return top * (1 - part[..., 0]) + bottom * part[..., 0]


def _none(images: Codes, draw: Draw, high: int) -> npt.NDArray[np.float64]:
    return images.astype(np.float64)


def _shift(images: Codes, draw: Draw, high: int) -> npt.NDArray[np.float64]:
    """By -1, 0 or 1 whole pixels each way."""
    offset = np.stack([np.floor(draw(0) * 3) - 1, np.floor(draw(1) * 3) - 1], -1)
    return _warp(images, np.broadcast_to(np.eye(2), (len(images), 2, 2)), offset)


def _rotate(images: Codes, draw: Draw, high: int) -> npt.NDArray[np.float64]:
    """By up to 12 degrees either way."""
    angle = np.deg2rad(12) * (2 * draw(0) - 1)
    matrix = np.stack([np.stack([np.cos(angle), -np.sin(angle)], -1), np.stack([np.sin(angle), np.cos(angle)], -1)], 1)
    return _warp(images, matrix, np.zeros((len(images), 2)))


def _scale(images: Codes, draw: Draw, high: int) -> npt.NDArray[np.float64]:
    """Wider or narrower, taller or lower, by up to 12 % each."""
    matrix = np.zeros((len(images), 2, 2))
    matrix[:, 0, 0], matrix[:, 1, 1] = 0.88 + 0.24 * draw(0), 0.88 + 0.24 * draw(1)
    return _warp(images, matrix, np.zeros((len(images), 2)))


def _contrast(images: Codes, draw: Draw, high: int) -> npt.NDArray[np.float64]:
    """Codes times 0.7 to 1.3."""
    return images * (0.7 + 0.6 * draw(0))[:, None, None]


def _noise(images: Codes, draw: Draw, high: int) -> npt.NDArray[np.float64]:
    """An even draw of up to an eighth of the range added to every pixel."""
    height, width = images.shape[1:]
    noise = np.stack([draw(pixel) for pixel in range(height * width)], -1).reshape(images.shape)
    return images + (2 * noise - 1) * high / 8


AUGMENTATIONS = {"none": _none, "shift": _shift, "rotate": _rotate, "scale": _scale, "contrast": _contrast, "noise": _noise}


def augment(data: DataSet, names: tuple[str, ...], choice: Ints, index: Ints, seed: int, epoch: int) -> Codes:
    """Training images `index` (n,) of this epoch, each changed by the augmentation `names[choice]`; (n, features) codes."""
    images = data.train.codes[index].reshape(-1, *data.shape)
    result = np.empty(images.shape, np.float64)
    for number, name in enumerate(names):
        rows = np.flatnonzero(choice == number)
        chosen = index[rows]

        def draw(which: int, chosen: Ints = chosen, stream: int = 1000 * number) -> npt.NDArray[np.float64]:
            return uniform(seed, epoch, chosen, stream + which)

        result[rows] = AUGMENTATIONS[name](images[rows], draw, data.high)
    return np.clip(np.rint(result), 0, data.high).astype(np.uint8).reshape(len(index), -1)
