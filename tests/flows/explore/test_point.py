"""A point through the real stages: metrics of every kind, and a training that is stopped where its end is not worth it."""

from __future__ import annotations

from pathlib import Path

import pytest

from arbonn.errors import RecipeError
from arbonn.flows.explore.metrics import METRICS
from arbonn.flows.explore.point import measure
from arbonn.flows.explore.space import load_space
from tests.flows.explore.spaces import SPACE, write_space

POINT = {"network.sizes": "[4]", "fold.target_fps": "200", "method": "ste"}
LONGER = SPACE.replace('"method.name" = "ste", "train.epochs" = 1', '"method.name" = "ste", "train.epochs" = 9')


def test_a_training_far_below_its_bound_is_stopped_and_goes_on_where_it_is_wanted(tmp_path: Path) -> None:
    strict, easy = (
        load_space(write_space(tmp_path, LONGER.replace(">= 0.2", bound).replace("val_accuracy = 0.1", "val_accuracy = 0.0")))
        for bound in (">= 1.0", ">= 0.01")
    )
    stopped = measure(strict, POINT, tmp_path / "strict", None, "model")
    assert stopped.refused.startswith("training: stopped, validation accuracy 0.")
    assert stopped.refused.endswith("after 3 of 9 epochs, 1 wanted")
    assert (stopped.rung, stopped.metrics) == ("model", {})
    whole = measure(easy, POINT, tmp_path / "easy", None, "model")
    assert whole.refused == ""
    rows = (Path(whole.folder) / "seed0" / "train" / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == [str(epoch) for epoch in range(1, 10)]
    assert set(whole.metrics) == set(METRICS) - {"fmax_mhz", "ood_accuracy", "corruption_error"}
    assert whole.metrics["memory_bits"] == whole.metrics["weight_bits"] + whole.metrics["fifo_bits"]
    assert whole.metrics["latency_us"] == whole.metrics["latency_cycles"] / 12  # icebreaker's clock


def test_corruption_error_is_the_measure_of_the_training(tmp_path: Path) -> None:
    text = SPACE.replace('ladder = "synth"', 'ladder = "model"\nfixed = { "measures.names" = ["corruption"] }')
    text = text.replace('luts = "min"', 'corruption_error = "min"').replace("luts = 5000", "corruption_error = 1.0")
    found = measure(load_space(write_space(tmp_path, text)), POINT, tmp_path / "out", None, "model")
    assert 0 < found.metrics["corruption_error"] < 1


@pytest.mark.parametrize(
    ("metric", "found", "fix"),
    [
        ("corruption_error", "the recipe does not measure it", 'fixed = { "measures.names" = ["size", "corruption"] }'),
        ("ood_accuracy", "no domain is left out", 'a data set with domains, and fixed = { "data.leave_out" = "DOMAIN" }'),
    ],
)
def test_an_objective_that_is_never_measured_is_refused(tmp_path: Path, metric: str, found: str, fix: str) -> None:
    path = write_space(tmp_path, SPACE.replace('luts = "min"', f'{metric} = "min"').replace("luts = 5000", f"{metric} = 0.9"))
    with pytest.raises(RecipeError) as error:
        load_space(path)
    assert str(error.value) == (
        f"RecipeError: {path}: {metric}: {found}\n  allowed  a metric that every point is measured by\n  fix      {fix}"
    )
