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
    train, val, test = stratified(whole.labels, sizes, config.split_seed, whole.domains)
    return whole.take(train), whole.take(val), whole.take(test)


def held_out(train: Split, test: Split, config: DataConfig, share: float = VAL) -> tuple[Split, Split, Split]:
    """(train, val, test) of a set with test images of its own: all of them, or as many as the recipe wants, drawn from them alone.

    `share` of the training images validate where the recipe names no number.
    """
    rest, val = drawn(train, config.val or round(share * len(train)), config.split_seed, "data.val", "training")
    if config.test is not None and config.test != len(test):
        test = drawn(test, config.test, config.split_seed, "data.test", "test")[1]
    return rest, val, test


def drawn(split: Split, count: int, seed: int, key: str, what: str) -> tuple[Split, Split]:
    """(the others, `count` images drawn with each class, in each domain, in proportion)."""
    from sklearn.model_selection import train_test_split  # here, since it costs a second

    cells = _cells(split.labels, split.domains)
    kinds, counts = np.unique(cells, return_counts=True)
    if not len(kinds) <= count <= len(split) - len(kinds) or counts.min() < 2:
        fewest = _fewest(split.labels, split.domains, 2)
        raise DataError(
            key,
            found=f"{count} of {len(split)} {what} images{fewest}",
            allowed=f"{len(kinds)} to {len(split) - len(kinds)}" + (", two of each" if fewest else ""),
        )
    others, rows = train_test_split(np.arange(len(split)), test_size=count, stratify=cells, random_state=seed)
    return split.take(others), split.take(rows)


def stratified(
    labels: npt.NDArray[np.int64], sizes: tuple[int, int], seed: int, domains: npt.NDArray[np.int64] | None = None
) -> tuple[Ints, Ints, Ints]:
    """Row numbers (train, val, test), each class (of each domain, if `domains` are given) in proportion; `sizes` = (val, test)."""
    from sklearn.model_selection import train_test_split

    val, test = sizes
    domains = np.zeros(len(labels), np.int64) if domains is None else domains
    cells = _cells(labels, domains)
    kinds = len(np.unique(cells))
    fewest = _fewest(labels, domains, 3)
    if min(val, test) < kinds or val + test > len(labels) - kinds or fewest:
        raise DataError(
            "data",
            found=f"val = {val}, test = {test} of {len(labels)} images{fewest}",
            allowed=f"at least {kinds} images in each part" + (", one of each class" if fewest else ""),
        )
    rows = np.arange(len(labels))
    rest, test_rows = train_test_split(rows, test_size=test, stratify=cells, random_state=seed)
    train_rows, val_rows = train_test_split(rest, test_size=val, stratify=cells[rest], random_state=seed)
    return train_rows, val_rows, test_rows


def _cells(labels: Ints, domains: Ints) -> Ints:
    """A number for each class of each domain that occurs: with one domain, the class."""
    return labels if domains.max(initial=0) == 0 else domains * (labels.max() + 1) + labels


def _fewest(labels: Ints, domains: Ints, least: int) -> str:
    """Which class, in which domain, has the fewest images, if that is less than `least`."""
    (classes, places), counts = np.unique(np.stack([labels, domains]), axis=1, return_counts=True)
    at = counts.argmin()
    if counts[at] >= least:
        return ""
    return f", {counts[at]} of class {classes[at]}" + (f" in domain {places[at]}" if domains.max() > 0 else "")
