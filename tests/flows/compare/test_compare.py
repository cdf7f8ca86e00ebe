"""From the runs to the verdict: what may be said depends on the seeds, and nothing is trained twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbonn.errors import InputError
from arbonn.flows.compare.claim import Claim
from arbonn.flows.compare.compare import compare, judge, mean_corruption_error, whole_verdict
from arbonn.flows.compare.table import markdown
from arbonn.flows.store import Store

BASE = """
name = "base"
data = { name = "digits" }
network = { sizes = [8] }
method = { name = "ste" }
train = { epochs = 2, tensorboard = false }
measures = { names = ["flips"], charts = false }
"""
CLAIM = """
name = "small"
claim = "two epochs flip more than four"
paper = "none"
kind = "mechanism"
recipe = "base.toml"
null = "as many"
unequal_passes = true
arms = [ { name = "two" }, { name = "four", set = ["train.epochs=4"] } ]
comparisons = [ { arm = "two", against = "four", measure = "flip_rate", when = "late", scale = "log10", direction = "higher" } ]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "base.toml").write_text(BASE)
    (tmp_path / "small.toml").write_text(CLAIM)
    return tmp_path / "small.toml"


def claim(direction: str = "higher", within: float | None = None, kind: str = "mechanism") -> Claim:
    comparison = {"arm": "a", "against": "b", "measure": "m", "direction": direction, **({"within": within} if within else {})}
    return Claim.model_validate(
        {"name": "c", "claim": "x", "paper": "y", "kind": kind, "recipe": "r", "null": "z",
         "arms": [{"name": "a"}, {"name": "b"}], "comparisons": [comparison]}
    )  # fmt: skip


def verdict(differences: list[float], direction: str = "higher", within: float | None = None, kind: str = "mechanism") -> str:
    values = {"a": {"m": differences}, "b": {"m": [0.0] * len(differences)}}
    return judge(claim(direction, within, kind), values)[0].verdict


CLEAR = [1.0, 1.1, 0.9, 1.0, 1.2, 1.05, 0.95, 1.1, 1.0, 0.9]


def test_a_clear_difference_is_seen_or_contradicted():
    assert verdict(CLEAR[:8]) == "seen"
    assert verdict(CLEAR[:8], "lower") == "contradicted"
    assert verdict([1.0, -1.0, 0.5, -0.6, 1.2, -1.1, 0.3, -0.2]) == "not shown"
    assert verdict([0.0] * 8) == "not shown"


def test_an_accuracy_takes_ten_seeds():
    assert verdict(CLEAR[:8], kind="accuracy") == "smoke: points the claimed way"
    assert verdict(CLEAR, kind="accuracy") == "seen"


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=7), st.sampled_from(["higher", "lower", "equal"]))
def test_too_few_seeds_show_nothing_whatever_they_are(differences, direction):
    assert verdict(differences, direction, 0.5 if direction == "equal" else None).startswith("smoke: ")


def test_equality_needs_an_interval_inside_the_bound():
    near = [value / 1000 for value in CLEAR[:8]]
    assert verdict(near, "equal", 0.01) == "seen"
    assert verdict(CLEAR[:8], "equal", 0.01) == "contradicted"
    assert verdict([0.02, -0.02, 0.015, -0.017, 0.01, -0.012, 0.008, -0.009], "equal", 0.005) == "not shown"


def test_one_comparison_can_contradict_a_claim_and_all_must_be_seen():
    assert whole_verdict(["seen", "seen"]) == "seen"
    assert whole_verdict(["seen", "not shown"]) == "not shown"
    assert whole_verdict(["seen", "contradicted", "not shown"]) == "contradicted"


def test_the_corruption_error_of_the_base_is_one():
    base = {"clean_error": 0.1, "corruption_error": 0.3, "corruption_error/blur": 0.2, "corruption_error/noise": 0.4}
    assert mean_corruption_error(base, base, False) == mean_corruption_error(base, base, True) == 1.0
    other = {**base, "corruption_error/blur": 0.3}
    assert mean_corruption_error(other, base, False) == pytest.approx((1.5 + 1) / 2)
    assert mean_corruption_error(other, base, True) == pytest.approx((2 + 1) / 2)


def test_a_smoke_run_from_the_file_to_the_page_and_again_from_the_store(path, tmp_path):
    told: list[float] = []
    first = compare(path, 2, store=Store(tmp_path / "store"), report=lambda what, done: told.append(done))
    assert told == pytest.approx([k / 4 for k in range(5)])
    assert (first.trained, first.seeds, [arm.passes for arm in first.arms]) == (4, [0, 1], [2, 4])
    assert all(len(arm.values["flip_rate, late"]) == 2 for arm in first.arms)
    assert first.verdict == "smoke: points the claimed way"
    assert first.sentence == "A smoke run of 2 seeds of the 8 that a mechanism needs: nothing is shown (points the claimed way)."
    (pair,) = first.pairs
    assert pair.low < pair.difference < pair.high
    assert pair.smallest_effect > 0
    again = compare(path, 2, store=Store(tmp_path / "store"))
    assert again.trained == 0
    assert (again.arms, again.pairs) == (first.arms, first.pairs)
    page = markdown([again], "arbonn compare")
    assert "| [two epochs flip more than four](#small) | none | 2 | **smoke: points the claimed way** |" in page
    assert "| two > four | flip_rate, late, log10 |" in page
    longer = compare(path, 1, first_seed=1, store=Store(tmp_path / "store"))
    assert (longer.trained, longer.seeds) == (0, [1])
    assert longer.pairs[0].low is longer.pairs[0].smallest_effect is None


def test_a_measure_that_no_arm_reports(path, tmp_path):
    path.write_text(CLAIM.replace('measure = "flip_rate"', 'measure = "flips"'))
    with pytest.raises(InputError) as caught:
        compare(path, 1, store=Store(tmp_path / "store"))
    lines = str(caught.value).splitlines()
    assert lines[0] == f"InputError: {path}: comparisons.measure: `two` reports no `flips`"
    assert lines[1].startswith("  allowed  dead_filters, dead_filters/fc0, ")


@pytest.mark.slow
def test_stopped_in_the_middle_it_goes_on_where_it_was(path, tmp_path):
    """Two workers; Ctrl-C ends all of them, and what they finished is found again."""
    code = "import sys; from arbonn.flows.cli import main; main(sys.argv[1:])"
    line = [sys.executable, "-c", code, "compare", str(path), "--seeds", "8", "--jobs", "2", "--json", "--out", str(tmp_path / "out")]
    environment = {"ARBONN_STORE": str(tmp_path / "store")}
    with subprocess.Popen(line, env={**os.environ, **environment}, stdout=subprocess.PIPE, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while len(list((tmp_path / "store" / "objects").glob("train-*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        said = process.stdout.read()
        assert process.wait(60) == 130
    assert json.loads(said)["error"]["found"] == "interrupted"
    kept = len(list((tmp_path / "store" / "objects").glob("train-*")))
    assert 2 <= kept < 16
    assert not (tmp_path / "out").exists()
    done = subprocess.run(line, env={**os.environ, **environment}, capture_output=True, text=True)
    (result,) = json.loads(done.stdout)["claims"]
    assert result["trained"] == 16 - kept
    assert result["verdict"] in ("seen", "not shown", "contradicted")
    assert json.loads((tmp_path / "out" / "small.json").read_text()) == result
