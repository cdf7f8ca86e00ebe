"""`arbonn frontier`: from a recipe to a checked point; the page that it writes; the curve of SBNN."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from arbonn.errors import InputError
from arbonn.flows import checked, lowered, stages, tools
from arbonn.flows.cli import main
from arbonn.flows.frontier import FrontierPoint, recipes_in
from arbonn.flows.frontier_page import FUNCTIONS, PUBLISHED, between, markdown, svg
from arbonn.flows.options import Common
from arbonn.flows.sbnn_curve import sbnn_curve
from arbonn.flows.store import Store
from arbonn.hw import graph_file
from arbonn.model import train as training
from tests.tiny import tiny_graph

RECIPE = """
name = "tiny"
[data]
name = "digits"
test = 60
limit = 300
augment = ["none", "shift"]
[network]
name = "bit-mlp"
sizes = [20]
input_thresholds = [0.25, 0.5]
[method]
name = "topk"
fan_in = [6, 8]
[train]
epochs = 3
lr = 0.01
tensorboard = false
[measures]
names = []
charts = false
"""
POINT = FrontierPoint(
    name="one", data="mnist", network="bit-mlp [20]", method="topk", seed=0, epochs=3, connections=1200, neurons=700, votes=267,
    accuracy=0.965, test_images=10_000, verified_images=200, mismatches=0, ties=0, luts=1234, phys=1300, ffs=900, carry4=10, levels=3,
    latency_cycles=6, interval_cycles=1.0, frames=10_000, transfers=70_000, bit_mismatches=0, cycle_mismatches=0, violations=0,
    train_seconds=1.0, check_seconds=1.0,
)  # fmt: skip


@pytest.mark.slow  # half a minute: a training, Verilator and yosys
def test_a_recipe_becomes_a_checked_point(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARBONN_STORE", str(tmp_path / "store"))
    (tmp_path / "tiny.toml").write_text(RECIPE)
    with pytest.raises(SystemExit) as done:
        main(["frontier", str(tmp_path), "--out", str(tmp_path / "out"), "--table", str(tmp_path / "docs" / "frontier.md"), "--json"])
    (seen,) = json.loads(capfd.readouterr().out)["points"]
    assert done.value.code == 0
    point = FrontierPoint.model_validate(seen)
    assert point.exact
    assert (point.frames, point.interval_cycles, point.connections) == (60, 2, 20 * 6 + 10 * 8)
    assert (point.votes, point.network) == (10 * 8, "bit-mlp [20] of pixels >= 0.25 and 0.5")
    assert point.method == "topk, fan_in (6, 8), images none/shift"
    assert 10 < point.neurons <= 20
    assert 30 < point.luts < 1000
    assert 1 <= point.levels < 20
    assert point.ffs > 20
    assert "| tiny |" in (tmp_path / "docs" / "frontier.md").read_text()
    assert (tmp_path / "docs" / "pictures" / "frontier.svg").read_text().startswith("<svg")

    def made_again(*given: object) -> None:
        raise AssertionError("a second call made something")

    monkeypatch.setattr(tools, "run", made_again)  # yosys and the simulator's compiler
    monkeypatch.setattr(training, "train", made_again)
    monkeypatch.setattr(lowered, "lower_and_fold", made_again)
    monkeypatch.setattr(checked, "run_check", made_again)
    with pytest.raises(SystemExit) as done:
        main(["frontier", str(tmp_path), "--out", str(tmp_path / "elsewhere"), "--json"])
    assert done.value.code == 0
    assert json.loads(capfd.readouterr().out)["points"] == [seen]


def test_cells_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph decides, wherever its folder is."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        graph_file.save(tiny_graph(8, 4), folder)
    common = Common(store=Store(tmp_path / "store"))
    first = stages.cells(folders[0], common)
    assert not first.cached
    assert min(first.luts, first.ffs, first.levels) > 0
    assert first.phys >= first.luts
    monkeypatch.delattr(tools, "run")
    assert stages.cells(folders[1], common).model_copy(update={"cached": False}) == first


def test_a_difference_is_no_exact_point() -> None:
    assert POINT.exact
    for wrong in ("mismatches", "bit_mismatches", "cycle_mismatches", "violations"):
        assert not POINT.model_copy(update={wrong: 1}).exact
    assert not POINT.model_copy(update={"frames": 9_999}).exact


def test_the_page_has_our_points_the_published_ones_and_the_picture() -> None:
    curve = sbnn_curve(12, (0.5, 0.1), moves=100)
    text = markdown([POINT, POINT.model_copy(update={"name": "two", "data": "digits"})], curve, "arbonn frontier")
    assert "## MNIST\n" in text
    assert "## digits\n" in text
    assert "| one | 96.50 % | 1,234 | 1,300 | 900 | 10 | 3 | 6 cycles | 1 | 10,000 of 10,000 | 0, 0 |" in text
    assert all(f"| {row.work} | {row.accuracy:g} % | {row.luts:,} |" in text for row in PUBLISHED)
    assert f"| 0.5 | {curve[0].ones} | {curve[0].luts} |" in text
    assert svg([POINT]).count("<circle") == 1 + len(PUBLISHED)


def test_the_page_says_what_stands_between_ours_and_treelut() -> None:
    text = between([POINT])
    assert text.startswith(
        "What stands between ours and TreeLUT's 97 % in 4,478 LUTs: no point reaches it; one misses it by 0.50 points, in 1,234. "
        "The best of ours in as few is one, 96.50 %.\n\n"
        "- Of the 1,234 LUTs of one, 700 are hidden neurons and 534 make bits of pixels, sum 267 votes and pick the\n"
        "  class: 2.00 LUTs a vote. In 4,478 LUTs these neurons would leave room for 1,889 votes.\n"
    )
    large = [POINT.model_copy(update={"name": name, "accuracy": 0.9712, "luts": luts}) for name, luts in (("wide", 9_999), ("less", 8_956))]
    assert "LUTs: less reaches 97.12 % in 8,956, 2.00 times as many. None of ours is as small.\n" in between(large)
    slow = POINT.model_copy(update={"name": "slow", "accuracy": 0.98, "luts": 8_956, "interval_cycles": 2.0})
    assert (
        "LUTs: slow reaches 98.00 % in 8,956, 2.00 times as many. It takes a frame every 2 cycles; of those that take one a cycle one is "
        "best, 96.50 %. The best of ours in as few is one, 96.50 %.\n" in between([POINT, slow])
    )
    assert "It takes a frame every 2 cycles; none takes one a cycle. None of ours" in between([slow])


def test_a_neuron_of_six_signs_is_one_of_so_many_functions() -> None:
    bits = np.array(list(product((-1, 1), repeat=6)))
    found = {(bits @ signs >= threshold).tobytes() for signs in bits for threshold in range(-4, 7, 2)}
    assert len(found) == FUNCTIONS


def test_fewer_ones_cost_fewer_luts() -> None:
    curve = sbnn_curve(32, (0.5, 0.2, 0.05), moves=200)
    assert [p.luts for p in curve] == sorted((p.luts for p in curve), reverse=True)
    assert [p.luts_general for p in curve] == sorted((p.luts_general for p in curve), reverse=True)
    assert all(p.luts <= p.luts_general for p in curve)
    assert curve == sbnn_curve(32, (0.5, 0.2, 0.05), moves=200)


def test_a_folder_without_recipes_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        recipes_in([tmp_path])
    assert str(caught.value) == f"InputError: {tmp_path}: no recipe\n  allowed  a folder with .toml files, or such a file"
