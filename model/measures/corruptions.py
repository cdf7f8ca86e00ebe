"""Corruptions of images at five severities, made by code from a seed: the kinds of ImageNet-C (arXiv 1903.12261) that small images bear.

Each takes images (N, C, H, W) as floats in [0, 1], the severity 1..5 and numpy's generator, and gives images that need not be in [0, 1].
Noise is drawn for each channel; what moves an image moves all its channels alike.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from arbonn.model.data import Codes

Images = npt.NDArray[np.float64]
SEVERITIES = (1, 2, 3, 4, 5)


def _gaussian_noise(x: Images, severity: int, random: np.random.Generator) -> Images:
    return x + random.normal(0, (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1], x.shape)


def _shot_noise(x: Images, severity: int, random: np.random.Generator) -> Images:
    """Poisson counts: brighter pixels are noisier."""
    photons = (60, 25, 12, 5, 3)[severity - 1]
    return random.poisson(np.clip(x, 0, 1) * photons) / photons


def _impulse_noise(x: Images, severity: int, random: np.random.Generator) -> Images:
    """Pixels that are black or white."""
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[severity - 1]
    draw = random.random(x.shape)
    return np.where(draw < share / 2, 0.0, np.where(draw < share, 1.0, x))


def _blur(x: Images, severity: int, random: np.random.Generator) -> Images:
    """Gaussian, its width in proportion to the image: 1.6 pixels of 28 at severity 1."""
    width = (1.6, 2.2, 2.8, 3.6, 4.5)[severity - 1] * x.shape[-1] / 28
    return ndimage.gaussian_filter(x, (0, 0, width, width))


def _brightness(x: Images, severity: int, random: np.random.Generator) -> Images:
    return x + (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1]


def _contrast(x: Images, severity: int, random: np.random.Generator) -> Images:
    mean = x.mean((2, 3), keepdims=True)
    return (x - mean) * (0.75, 0.6, 0.45, 0.3, 0.2)[severity - 1] + mean


def _rotation(x: Images, severity: int, random: np.random.Generator) -> Images:
    """Either way, by an angle between the last severity's and this one's."""
    high = (10, 20, 30, 40, 50)[severity - 1]
    angles = random.uniform(high - 10, high, len(x)) * random.choice([-1, 1], len(x))
    return np.stack([ndimage.rotate(image, angle, axes=(2, 1), reshape=False, order=1) for image, angle in zip(x, angles, strict=True)])


def _translation(x: Images, severity: int, random: np.random.Generator) -> Images:
    """Any way, by up to a share of the width."""
    distance = (0.05, 0.1, 0.15, 0.2, 0.25)[severity - 1] * x.shape[-1]
    turn = random.uniform(0, 2 * np.pi, len(x))
    steps = distance * np.stack([np.sin(turn), np.cos(turn)], 1)
    return np.stack([ndimage.shift(image, (0, *step), order=1) for image, step in zip(x, steps, strict=True)])


CORRUPTIONS: dict[str, Callable[[Images, int, np.random.Generator], Images]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "blur": _blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "rotation": _rotation,
    "translation": _translation,
}


def corrupt(codes: Codes, image: tuple[int, int, int], high: int, name: str, severity: int, seed: int) -> Codes:
    """Codes (N, ...) of 0..`high` changed by the corruption `name`; `image`: (channels, height, width), in which order they stand."""
    random = np.random.default_rng((seed, list(CORRUPTIONS).index(name), severity))
    changed = CORRUPTIONS[name](codes.reshape(-1, *image) / high, severity, random)
    return np.clip(np.rint(changed * high), 0, high).astype(codes.dtype).reshape(codes.shape)
