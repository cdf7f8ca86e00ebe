"""`xor`: two bits and whether they differ, the smallest task that one neuron cannot do."""

from __future__ import annotations

import numpy as np

from arbonn.model.data.dataset import DataSet, grey
from arbonn.model.data.splits import three
from arbonn.model.recipe import DATASETS, DataConfig

COPIES = 50  # of each case, so that there is a part to train on, one to choose by and one to test


@DATASETS.register("xor")
def xor(config: DataConfig) -> DataSet:
    """All four cases of two bits, 50 times each: 1x2 pixels, codes 0 and 1; class 1 where they differ (Minsky and Papert, 1969)."""
    cases = np.tile([[0, 0], [0, 1], [1, 0], [1, 1]], (COPIES, 1))
    return DataSet("xor", "uint1", (1, 2), 1, (1.0, 1.0), 2, *three(grey(cases.reshape(-1, 1, 2), cases[:, 0] ^ cases[:, 1]), config))
