"""Data sets, one file each: `load` gives the one that a recipe names, as integer codes.

No set is ever downloaded: a missing one is an error that says where to get it and where to put it. What is read is verified.
"""

from __future__ import annotations

from arbonn.errors import DataError
from arbonn.model.data.augment import AUGMENTATIONS, augment, uniform
from arbonn.model.data.dataset import Codes, DataSet, Ints, Split
from arbonn.model.data.pictures import resized
from arbonn.model.data.splits import drawn, stratified
from arbonn.model.recipe import DATASETS, DataConfig

__all__ = ["AUGMENTATIONS", "Codes", "DataSet", "Ints", "Split", "augment", "inputs", "load", "stratified", "uniform"]


def load(config: DataConfig) -> DataSet:
    """The data set that a recipe names, split as it says, its images resized to `size`, at most `limit` of them to train on."""
    data: DataSet = DATASETS.get(config.name, "data.name")(config)
    if config.leave_out is not None and not data.domain_names:
        raise DataError(
            f"data.leave_out: {config.leave_out}",
            found=f"data set {data.name} has one domain",
            allowed="a data set with domains: digit-domains, domain-folder, rotated-digits, rotated-mnist",
            fix="set data.name, or take data.leave_out away",
        )
    if config.size is not None and data.image[1:] != config.size:
        data = resized(data, config.size)
    if config.limit is not None and config.limit < len(data.train):
        limited = drawn(data.train, config.limit, config.split_seed, "data.limit", "training")[1]
        data = DataSet(**{**vars(data), "train": limited})
    _check(data)
    return data


def inputs(config: DataConfig) -> dict[str, str]:
    """What a result depends on beside the recipe: a digest of the files, for a set whose files no checksum is known of."""
    fingerprint = getattr(DATASETS.get(config.name, "data.name"), "fingerprint", None)
    return {"data": fingerprint(config)} if fingerprint is not None else {}


def _check(data: DataSet) -> None:
    """No code beyond the contract's, labels below the number of classes."""
    for name, split in (("training", data.train), ("validation", data.val), ("test", data.test)):
        seen = split.labels
        if seen.max() >= data.classes or seen.min() < 0 or split.codes.max() > data.high:
            found = f"labels {seen.min()} to {seen.max()}, codes up to {split.codes.max()} among the {name} images"
            raise DataError(f"data set {data.name}", found=found, allowed=f"labels 0 to {data.classes - 1}, codes up to {data.high}")
