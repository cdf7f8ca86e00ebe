"""`semeion`: handwritten digits of other writers and another scanner than MNIST's, for tests across domains."""

from __future__ import annotations

import io

import numpy as np

from arbonn.model.data.dataset import DataSet, Split, grey
from arbonn.model.data.source import find, read, verify
from arbonn.model.data.splits import three
from arbonn.model.recipe import DATASETS, DataConfig

NPZ_SHA256 = "868bcb1e2276fad9f85674fcb34949d7c4d8c58a6bb42083cc5fbf3bdc0b8dba"
PIXELS_SHA256 = "a28e8db38c7bd837208fdef540ff937a9dadba600d25778df7c78c80b04a462f"  # 1,593 x 256 pixels, then the labels
GET = "get semeion.data from https://archive.ics.uci.edu/dataset/178"


@DATASETS.register("semeion")
def semeion(config: DataConfig) -> DataSet:
    """Semeion (UCI, donated by Tactile Srl): 1,593 digits, 16x16 pixels of 0 or 1; UCI's `semeion.data`, or the same as `semeion.npz`."""
    return DataSet("semeion", "uint1,scale=1", (1, 16, 16), 1, (1.0, 1.0), 10, *three(read_semeion(config), config))


def read_semeion(config: DataConfig) -> Split:
    """Semeion's images in their own order."""
    path = find(config, ("semeion.npz", "semeion.data"), GET)
    content = read(path)
    if path.suffix == ".npz":
        verify(content, NPZ_SHA256, path, GET)
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays["labels"]
    else:  # 256 pixels and ten columns of the class on each line, as numbers in text
        lines = [[float(word) for word in line.split()] for line in content.splitlines() if line.strip()]
        rows = np.array([line for line in lines if len(line) == 266]).reshape(-1, 266)
        images, labels = rows[:, :256].astype(np.uint8), rows[:, 256:].argmax(1)
        verify(images.tobytes() + labels.astype(np.uint8).tobytes(), PIXELS_SHA256, path, GET)
    return grey(images, labels)
