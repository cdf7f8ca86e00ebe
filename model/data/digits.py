"""`digits`: the handwritten digits that scikit-learn carries."""

from __future__ import annotations

from arbonn.model.data.dataset import DataSet, Split, grey
from arbonn.model.data.splits import three
from arbonn.model.recipe import DATASETS, DataConfig


@DATASETS.register("digits")
def digits(config: DataConfig) -> DataSet:
    """The 1,797 handwritten digits that scikit-learn carries: 8x8 pixels, codes 0..16 (UCI, E. Alpaydin and C. Kaynak, 1998)."""
    defaults = config.model_copy(update={"test": config.test or 360, "val": config.val or 180})
    return DataSet("digits", "uint5,scale=1/16,high=16", (8, 8), 16, (1.0, 16.0), 10, *three(read_digits(), defaults))


def read_digits() -> Split:
    """All of them in their own order."""
    from sklearn.datasets import load_digits  # here, since it costs a second

    images, labels = load_digits(return_X_y=True)
    return grey(images, labels)
