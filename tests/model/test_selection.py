"""Which epoch is taken: the last within one standard error of the best."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from arbonn.model.recipe import TrainConfig
from arbonn.model.selection import standard_error
from arbonn.model.train import _Run

accuracies = st.lists(st.integers(0, 90), min_size=1, max_size=30).map(lambda right: [count / 90 for count in right])


@given(accuracies)
def test_the_epoch_is_the_last_within_one_standard_error_of_the_best(found):
    config, run = TrainConfig(epochs=len(found)), _Run()
    for accuracy in found:
        run.end_epoch(nn.Linear(1, 1), accuracy, 90, 1, config, {}, 0.0)
    error = standard_error(max(found), 90)
    within = [number for number, accuracy in enumerate(found, start=1) if accuracy >= max(found) - error]
    assert (run.best["epoch"], run.best["val_accuracy"]) == (within[-1], found[within[-1] - 1])


def test_the_standard_error_of_an_accuracy():
    assert standard_error(0.98, 180) == pytest.approx((0.98 * 0.02 / 180) ** 0.5, rel=0.15)
    assert standard_error(0.9, 100_000) == pytest.approx((0.9 * 0.1 / 100_000) ** 0.5, rel=1e-4)
    assert 0 < standard_error(1.0, 180) < 1 / 180 + 1e-4  # all right: an image less is as good
    assert standard_error(0.0, 50) == pytest.approx(standard_error(1.0, 50))
