"""`rotated-digits` and `rotated-mnist`: six domains, digits turned by 0 to 75 degrees."""

from __future__ import annotations

import numpy as np

from arbonn.model.data.dataset import DataSet, Split
from arbonn.model.data.digits import read_digits
from arbonn.model.data.domains import joined, parts
from arbonn.model.data.mnist import read_mnist
from arbonn.model.data.pictures import rotate
from arbonn.model.recipe import DATASETS, DataConfig

DEGREES = (0, 15, 30, 45, 60, 75)
NAMES = tuple(f"{degrees}deg" for degrees in DEGREES)


@DATASETS.register("rotated-digits")
def rotated_digits(config: DataConfig) -> DataSet:
    """scikit-learn's 1,797 digits, a sixth of them turned by each angle: domains 0deg, 15deg, ... 75deg. No image is in two domains."""
    whole = _turned(read_digits(), (8, 8))
    return DataSet("rotated-digits", "uint5,scale=1/16,high=16", (8, 8), 16, (1.0, 16.0), 10, *parts(whole, NAMES, config))


@DATASETS.register("rotated-mnist")
def rotated_mnist(config: DataConfig) -> DataSet:
    """MNIST's 70,000 images in the same way, as in Ghifary et al. (arXiv 1508.07680) and DomainBed; `data.limit` takes fewer."""
    whole = _turned(joined([*read_mnist(config)]), (28, 28))
    return DataSet("rotated-mnist", "uint8,scale=1/255", (1, 28, 28), 255, (1.0, 255.0), 10, *parts(whole, NAMES, config))


def _turned(whole: Split, shape: tuple[int, int]) -> Split:
    """Which image gets which angle is drawn once for all, by a seed of its own: another `split_seed` splits the same domains."""
    order = np.random.default_rng(0).permutation(len(whole))
    domains = []
    for number, degrees in enumerate(DEGREES):
        own = whole.take(order[number :: len(DEGREES)])
        codes = rotate(own.codes.reshape(-1, *shape), degrees).reshape(len(own), -1)
        domains.append(Split(codes, own.labels, own.domains))
    return joined(domains)
