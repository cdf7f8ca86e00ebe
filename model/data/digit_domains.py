"""`digit-domains`: digits of four origins, with a gap between them that is real."""

from __future__ import annotations

import numpy as np

from arbonn.model.data.dataset import Codes, DataSet, Split
from arbonn.model.data.digits import read_digits
from arbonn.model.data.domains import joined, parts
from arbonn.model.data.mnist import read_mnist
from arbonn.model.data.pictures import resize
from arbonn.model.data.semeion import read_semeion
from arbonn.model.recipe import DATASETS, DataConfig

NAMES = ("mnist", "semeion", "digits", "styled")
SIDE = 16
STYLED = 5_000  # images of `mnist`, and as many behind them of `styled`


@DATASETS.register("digit-domains")
def digit_domains(config: DataConfig) -> DataSet:
    """Domains mnist (its first 5,000), semeion, digits (scikit-learn's) and styled, all of 16x16 pixels and codes 0..255.

    styled: MNIST's images 5,000 to 9,999, inverted, contrast halved about middle grey, gaussian noise of deviation 0.1 of the range,
    drawn by a seed of its own. MNIST and Semeion are looked for in one folder.
    """
    mnist, digits, semeion = read_mnist(config)[0], read_digits(), read_semeion(config)
    plain, other = mnist.take(np.arange(STYLED)), mnist.take(np.arange(STYLED, 2 * STYLED))
    whole = joined(
        [
            _split(resize(plain.codes.reshape(-1, 28, 28), (SIDE, SIDE)), plain),
            _split(semeion.codes * np.uint8(255), semeion),
            _split(resize(np.rint(digits.codes * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8), (SIDE, SIDE)), digits),
            _split(styled(resize(other.codes.reshape(-1, 28, 28), (SIDE, SIDE))), other),
        ]
    )
    return DataSet("digit-domains", "uint8,scale=1/255", (1, SIDE, SIDE), 255, (1.0, 255.0), 10, *parts(whole, NAMES, config))


def styled(codes: Codes) -> Codes:
    """Codes 0..255 inverted, with half the contrast about middle grey, and noisy."""
    noise = np.random.default_rng(0).normal(0, 0.1 * 255, codes.shape)
    return np.clip(np.rint((255.0 - codes - 127.5) / 2 + 127.5 + noise), 0, 255).astype(np.uint8)


def _split(codes: Codes, source: Split) -> Split:
    return Split(codes.reshape(len(codes), -1), source.labels, source.domains)
