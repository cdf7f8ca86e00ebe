"""`mnist` and `fashion-mnist`: 28x28 grey images, 60,000 to train on and 10,000 to test on."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from arbonn.model.data.dataset import DataSet, Split, grey
from arbonn.model.data.source import find, read, read_idx, verify
from arbonn.model.data.splits import held_out
from arbonn.model.recipe import DATASETS, DataConfig

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
NPZ_SHA256 = "39b9b1ffaa0ba4d8995a616551f0966941fe02a3fe79ba4a9db7373db16d53ad"
# Of what the .gz files hold: Debian packs the same bytes anew.
MNIST_SHA256 = (
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)
FASHION_SHA256 = (
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)
MNIST_GET = "get the four files of MNIST (train-images-idx3-ubyte.gz, ...) from https://ossci-datasets.s3.amazonaws.com/mnist/"
FASHION_GET = "apt-get install dataset-fashion-mnist, or get its four files from https://github.com/zalandoresearch/fashion-mnist"
DEBIAN = "/usr/share/datasets"


@DATASETS.register("mnist")
def mnist(config: DataConfig) -> DataSet:
    """MNIST (LeCun, Cortes, Burges): handwritten digits; its original four files, or `mnist.npz` with the same arrays."""
    return _sets("mnist", *read_mnist(config), config)


@DATASETS.register("fashion-mnist")
def fashion_mnist(config: DataConfig) -> DataSet:
    """Fashion-MNIST (Zalando Research, 2017, MIT licence): ten kinds of clothing; Debian's package or the original four files."""
    # MNIST's files have the same names: in a folder of all data only those below fashion-mnist/ are meant.
    path = find(config, (*_names("fashion-mnist"), *(_names("") if config.root is not None else ())), FASHION_GET, (DEBIAN,))
    return _sets("fashion-mnist", *_four(path, FASHION_SHA256, FASHION_GET), config)


def read_mnist(config: DataConfig) -> tuple[Split, Split]:
    """MNIST's 60,000 and 10,000 images in their own order."""
    path = find(config, ("mnist.npz", *_names("mnist"), *_names("")), MNIST_GET)
    if path.suffix != ".npz":
        return _four(path, MNIST_SHA256, MNIST_GET)
    content = read(path)
    verify(content, NPZ_SHA256, path, MNIST_GET)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        train, test = (grey(arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in ("train", "test"))
    return train, test


def _names(folder: str) -> tuple[str, str]:
    """The first of the four files, packed or not."""
    path = f"{folder}/{FILES[0]}" if folder else FILES[0]
    return f"{path}.gz", path


def _four(first: Path, digests: tuple[str, ...], get: str) -> tuple[Split, Split]:
    suffix = ".gz" if first.suffix == ".gz" else ""
    arrays = [read_idx(first.with_name(name + suffix), digest, get) for name, digest in zip(FILES, digests, strict=True)]
    return grey(arrays[0], arrays[1]), grey(arrays[2], arrays[3])


def _sets(name: str, train: Split, test: Split, config: DataConfig) -> DataSet:
    return DataSet(name, "uint8,scale=1/255", (1, 28, 28), 255, (1.0, 255.0), 10, *held_out(train, test, config))
