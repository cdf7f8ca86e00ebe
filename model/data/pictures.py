"""Picture files and sizes: what Pillow does for data sets."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from arbonn.errors import DataError
from arbonn.model.data.dataset import Codes, DataSet, Split

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def read_picture(path: Path, colour: str | None, size: tuple[int, int] | None) -> Codes:
    """A picture as (channels, height, width) codes: of `colour` grey or rgb (None: as the file has it), resized to (height, width)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's are about transparency and sizes: nothing that changes what is read
            with Image.open(path) as file:
                wanted = {"grey": "L", "rgb": "RGB", None: "L" if file.mode in ("1", "L", "I;16", "I", "F") else "RGB"}[colour]
                image = file.convert(wanted)
    except (OSError, SyntaxError, ValueError, EOFError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        reason = "no picture" if isinstance(error, UnidentifiedImageError) else f"a picture that cannot be read: {error}"
        raise DataError(str(path), found=reason, allowed=f"whole files of {', '.join(SUFFIXES)}") from None
    if size is not None and image.size != size[::-1]:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    codes = np.asarray(image, np.uint8)
    return codes[None] if codes.ndim == 2 else np.ascontiguousarray(codes.transpose(2, 0, 1))


def resize(planes: Codes, size: tuple[int, int]) -> Codes:
    """(N, H, W) at another (height, width), bilinear, each pixel a mean over what it covers."""
    done = np.empty((len(planes), *size), np.uint8)
    for number, plane in enumerate(planes):
        done[number] = np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR))
    return done


def rotate(planes: Codes, degrees: float) -> Codes:
    """(N, H, W) turned counter-clockwise about the middle, bilinear, zero where nothing was."""
    done = np.empty_like(planes)
    for number, plane in enumerate(planes):
        done[number] = np.asarray(Image.fromarray(plane).rotate(degrees, Image.Resampling.BILINEAR))
    return done


def resized(data: DataSet, size: tuple[int, int]) -> DataSet:
    """All images at another (height, width); codes stay integers up to `high`."""
    channels, height, width = data.image

    def change(split: Split) -> Split:
        return replace(split, codes=resize(split.codes.reshape(-1, height, width), size).reshape(len(split), -1))

    return replace(data.each(change), shape=(channels, *size))
