"""The tree of what each unit takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from arbonn.flows.area import area, area_lines
from arbonn.flows.results import UnitCells
from arbonn.hw import graph_file
from tests.flows.test_cli import arbonn
from tests.tiny import tiny_graph


def test_the_tree_is_indented_by_depth_and_each_line_counts_what_is_in_it() -> None:
    counted = {"": 120, "fc": 100, "fc/sequencer": 9, "top1": 20}
    units = [UnitCells(unit=unit, luts=luts, ffs=2, brams=1, carry=0) for unit, luts in counted.items()]
    assert list(area_lines(units)) == [
        "   LUTs  flip-flops  block RAMs  carry cells",
        "    120           2           1            0  the whole",
        "    100           2           1            0    fc",
        "      9           2           1            0      sequencer",
        "     20           2           1            0    top1",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ice40", "ecp5", "gowin", "xc7"])
def test_units_are_kept_apart_on_every_family(family: str) -> None:
    units = {unit.unit: unit for unit in area(tiny_graph(), family)}
    assert 0 < units["fc/sequencer"].luts < units["fc"].luts < units[""].luts
    assert sum(unit.ffs for path, unit in units.items() if path and "/" not in path) == units[""].ffs
    assert units["fc"].brams == units[""].brams  # the weights', where they are in block RAM


@pytest.mark.slow
def test_show_tells_the_cells_that_are_asked_for(tmp_path: Path) -> None:
    graph_file.save(tiny_graph(), tmp_path)
    done = arbonn("show", tmp_path, "--cells", "ice40", "--json")
    assert done.returncode == 0, done.stderr
    cells = json.loads(done.stdout)["cells"]
    assert (cells["family"], cells["source"]) == ("ice40", "synthesis, units kept apart")
    assert {"", "fc", "top1"} <= {unit["unit"] for unit in cells["units"]}
