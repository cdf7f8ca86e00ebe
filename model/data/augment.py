"""Augmentations of codes that depend on (seed, epoch, index) alone: order and workers change nothing.

Each takes images (N, channels, height, width) as codes and gives floats of the same shape; all channels of an image change alike.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import numpy.typing as npt

from arbonn.model.data.dataset import Codes, DataSet, Ints


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
    """Samples (N, C, H, W) images at `matrix @ (position - centre) + centre + offset`, bilinear, zero outside. matrix: (N, 2, 2)."""
    count, _, height, width = images.shape
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1) - centre
    at = np.einsum("nij,hwj->nhwi", matrix, grid) + centre + offset[:, None, None, :]
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1))).astype(np.float64)
    at = np.clip(at + 1, 0, [height + 1, width + 1])  # into the ring of zeros
    low = np.minimum(np.floor(at).astype(int), [height, width])
    part = (at - low)[..., None]
    row, col, n = low[..., 0], low[..., 1], np.arange(count)[:, None, None]
    down, right = part[..., 0, :], part[..., 1, :]
    # Rows and columns are drawn by index and channels by slice, so the channels come last.
    top = padded[n, :, row, col] * (1 - right) + padded[n, :, row, col + 1] * right
    bottom = padded[n, :, row + 1, col] * (1 - right) + padded[n, :, row + 1, col + 1] * right
    return np.moveaxis(top * (1 - down) + bottom * down, -1, 1)


def _none(images: Codes, draw: Draw, high: int) -> npt.NDArray[np.float64]:
    return images.astype(np.float64)


def _shift(images: Codes, draw: Draw, high: int) -> npt.NDArray[np.float64]:
    """By -1, 0 or 1 whole pixels each way."""
    return _moved(images, draw, 1)


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
    return images * (0.7 + 0.6 * draw(0))[:, None, None, None]


def _noise(images: Codes, draw: Draw, high: int) -> npt.NDArray[np.float64]:
    """An even draw of up to an eighth of the range added to every code."""
    noise = np.stack([draw(place) for place in range(prod(images.shape[1:]))], -1).reshape(images.shape)
    return images + (2 * noise - 1) * high / 8


def _flip(images: Codes, draw: Draw, high: int) -> npt.NDArray[np.float64]:
    """Every other image, left to right."""
    return np.where((draw(0) < 0.5)[:, None, None, None], images[..., ::-1], images).astype(np.float64)


def _crop(images: Codes, draw: Draw, high: int) -> npt.NDArray[np.float64]:
    """A window of the image's size from the image with zeros around it, an eighth of its height on every side (4 pixels of CIFAR's 32)."""
    return _moved(images, draw, max(images.shape[2] // 8, 1))


def _flip_crop(images: Codes, draw: Draw, high: int) -> npt.NDArray[np.float64]:
    """Both, as is usual for CIFAR."""
    return _crop(_flip(images, lambda which: draw(which + 2), high).astype(np.uint8), draw, high)


def _moved(images: Codes, draw: Draw, reach: int) -> npt.NDArray[np.float64]:
    """By -reach to reach whole pixels each way, zeros where nothing was."""
    count, _, height, width = images.shape
    down, right = (np.floor(draw(axis) * (2 * reach + 1)).astype(int) for axis in (0, 1))
    padded = np.pad(images, ((0, 0), (0, 0), (reach, reach), (reach, reach))).astype(np.float64)
    rows, columns = down[:, None, None] + np.arange(height)[:, None], right[:, None, None] + np.arange(width)
    return np.moveaxis(padded[np.arange(count)[:, None, None], :, rows, columns], -1, 1)


AUGMENTATIONS = {
    "none": _none,
    "shift": _shift,
    "rotate": _rotate,
    "scale": _scale,
    "contrast": _contrast,
    "noise": _noise,
    "flip": _flip,
    "crop": _crop,
    "flip-crop": _flip_crop,
}


def augment(data: DataSet, names: tuple[str, ...], choice: Ints, index: Ints, seed: int, epoch: int) -> Codes:
    """Training images `index` (n,) of this epoch, each changed by the augmentation `names[choice]`; codes (n, ...) as in `data.train`."""
    images = data.train.codes[index].reshape(-1, *data.image)
    result = np.empty(images.shape, np.float64)
    for number, name in enumerate(names):
        rows = np.flatnonzero(choice == number)
        chosen = index[rows]

        def draw(which: int, chosen: Ints = chosen, stream: int = 1000 * number) -> npt.NDArray[np.float64]:
            return uniform(seed, epoch, chosen, stream + which)

        result[rows] = AUGMENTATIONS[name](images[rows], draw, data.high)
    return np.clip(np.rint(result), 0, data.high).astype(np.uint8).reshape(len(index), *data.frame)
