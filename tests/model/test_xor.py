"""`xor`: every case as often as every other, in each part all classes, and labels that are the difference of both bits."""

from __future__ import annotations

import numpy as np

from arbonn.model.data import load
from arbonn.model.recipe import DataConfig


def test_all_four_cases_with_the_class_that_they_have() -> None:
    data = load(DataConfig(name="xor"))
    parts = (data.train, data.val, data.test)
    assert [len(part) for part in parts] == [140, 20, 40]
    codes, labels = (np.concatenate([getattr(part, name) for part in parts]) for name in ("codes", "labels"))
    assert np.array_equal(codes[:, 0] != codes[:, 1], labels == 1)
    assert np.unique(codes, axis=0, return_counts=True)[1].tolist() == [50] * 4
    assert all(len(np.unique(part.codes, axis=0)) == 4 for part in parts)
    assert (data.contract, data.high, data.classes, data.image) == ("uint1", 1, 2, (1, 1, 2))
