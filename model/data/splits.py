"""Which images train, which choose, which test: drawn by a seed, stratified by class."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from arbonn.errors import DataError
from arbonn.model.data.dataset import Ints, Split
from arbonn.model.recipe import DataConfig

VAL, TEST = 0.1, 0.2  # shares, where a recipe names no number


def three(whole: Split, config: DataConfig) -> tuple[Split, Split, Split]:
    """(train, val, test) of a set that has no test images of its own."""
    sizes = config.val or round(VAL * len(whole)), config.test or round(TEST * len(whole))
    train, val, test = stratified(whole.labels, sizes, config.split_seed)
    return whole.take(train), whole.take(val), whole.take(test)


def held_out(train: Split, test: Split, config: DataConfig) -> tuple[Split, Split, Split]:
    """(train, val, test) of a set with test images of its own: all of them, or as many as the recipe wants, drawn from them alone."""
    rest, val = drawn(train, config.val or round(VAL * len(train)), config.split_seed, "data.val", "training")
    if config.test is not None and config.test != len(test):
        test = drawn(test, config.test, config.split_seed, "data.test", "test")[1]
    return rest, val, test


def drawn(split: Split, count: int, seed: int, key: str, what: str) -> tuple[Split, Split]:
    """(the others, `count` images drawn with each class in proportion)."""
    from sklearn.model_selection import train_test_split  # here, since it costs a second

    classes = len(np.unique(split.labels))
    if not classes <= count <= len(split) - classes:
        raise DataError(key, found=f"{count} of {len(split)} {what} images", allowed=f"{classes} to {len(split) - classes}")
    others, rows = train_test_split(np.arange(len(split)), test_size=count, stratify=split.labels, random_state=seed)
    return split.take(others), split.take(rows)


def stratified(labels: npt.NDArray[np.int64], sizes: tuple[int, int], seed: int) -> tuple[Ints, Ints, Ints]:
    """Row numbers (train, val, test), each class in proportion; `sizes` = (val, test)."""
    from sklearn.model_selection import train_test_split

    val, test = sizes
    classes, counts = np.unique(labels, return_counts=True)
    if min(val, test) < len(classes) or val + test > len(labels) - len(classes) or counts.min() < 3:
        fewest = f", {counts.min()} of class {classes[counts.argmin()]}" if counts.min() < 3 else ""
        raise DataError(
            "data",
            found=f"val = {val}, test = {test} of {len(labels)} images{fewest}",
            allowed=f"at least {len(classes)} images in each part" + (", one of each class" if fewest else ""),
        )
    rows = np.arange(len(labels))
    rest, test_rows = train_test_split(rows, test_size=test, stratify=labels, random_state=seed)
    train_rows, val_rows = train_test_split(rest, test_size=val, stratify=labels[rest], random_state=seed)
    return train_rows, val_rows, test_rows
