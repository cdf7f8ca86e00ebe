"""What is joined into a sweep: one entry a design, the latest cells of a family, nothing wider than the bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from arbonn.flows.calibrate import __main__ as calibrate
from arbonn.flows.calibrate import networks
from arbonn.flows.calibrate.shipped import Whole
from arbonn.flows.progress import silent
from arbonn.flows.store import Store
from tests.networks import mlp

CELLS = {"luts": 1.0, "ffs": 2.0, "brams": 0.0, "carry": 0.0, "depth": 1.0}
UNIT = {"kind": "MVAU", "attributes": {}, "ports": {}}


def test_cells_of_one_design_are_joined_and_the_later_stay() -> None:
    first = Whole("4-2", "1x1", 8, {"xc7": CELLS, "ice40": CELLS}, [UNIT], False)
    later = Whole("4-2", "1x1", 8, {"ice40": {**CELLS, "luts": 5.0}, "ecp5": CELLS}, [UNIT], False)
    other = Whole("4-2", "1x1", 8, {"xc7": CELLS}, [{**UNIT, "attributes": {"lut_inputs": 6}}], False)
    joined = calibrate._joined([first, later, other])
    assert [sorted(each.cells) for each in joined] == [["xc7"], ["ecp5", "ice40", "xc7"]] or [sorted(each.cells) for each in joined] == [
        ["ecp5", "ice40", "xc7"],
        ["xc7"],
    ]
    assert {each.cells["ice40"]["luts"] for each in joined if "ice40" in each.cells} == {5.0}


def test_what_was_measured_anew_leaves_nothing_of_before() -> None:
    before = Whole("4-2", "1x1", 8, {"xc7": CELLS, "ice40": CELLS}, [UNIT], False)
    assert calibrate._without(before, {("4-2", "1x1", "xc7"), ("4-2", "2x2", "ice40")}).cells == {"ice40": CELLS}


def test_a_design_that_is_too_wide_is_kept_without_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = [mlp((8, 4, 4), "uint3", seed=0, lanes=lanes) for lanes in (1, 4)]
    assert [networks.product_bits(graph) for graph in graphs] == [3 + 1, 16 * 3 + 16]
    monkeypatch.setattr(networks, "designs", lambda network: enumerate(graphs))
    monkeypatch.setattr(networks, "WIDEST", 10)
    monkeypatch.setattr(calibrate, "measured", lambda modules, *rest: [CELLS for _ in modules])
    found = list(calibrate._synthesized([networks.HELD_OUT[0]], True, ["ice40", "xc7"], Store(tmp_path), silent))
    assert [(each.folding, each.cells) for each in found] == [("1x1 1x1", {"ice40": CELLS}), ("1x1 1x1", {"xc7": CELLS}), ("4x4 4x4", {})]
    assert all(each.held_out for each in found)
