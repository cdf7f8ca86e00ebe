"""The sweep that ships is of today's units, the coefficients follow from it, and networks that were held out are estimated well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from arbonn.errors import DataError
from arbonn.flows.calibrate import fit
from arbonn.flows.calibrate.page import held_out, page
from arbonn.flows.calibrate.shipped import load, save
from arbonn.flows.calibrate.spec import spec_of, unit_of
from arbonn.hw.cost.cost import FAMILIES, coefficients
from arbonn.hw.units import unit_kinds

ROOT = Path(__file__).parents[3]
FIGURES = {"luts", "ffs", "brams", "carry"}


def test_every_unit_of_the_sweep_is_a_legal_one_of_today_and_every_kind_is_there() -> None:
    sweep = load()
    for unit in sweep.units:
        node, ports = unit_of(unit.spec)
        assert spec_of(node, ports) == unit.spec
        assert all(set(cells) >= FIGURES for cells in unit.cells.values())
    ours = {name for name, kind in unit_kinds().items() if kind.__module__.startswith("arbonn.hw.units.")}
    assert {unit.spec["kind"] for unit in sweep.units} == ours


def test_the_coefficients_and_the_page_are_what_the_sweep_gives() -> None:
    sweep = load()
    found = fit.coefficients(sweep)
    for family in FAMILIES:
        assert coefficients()[family] == pytest.approx(found[family], abs=2e-3), f"{family}: type make cost-model"
    assert (ROOT / "docs" / "cost.md").read_text(encoding="utf-8") == page(sweep, coefficients()), "type: make cost-model"


@pytest.mark.parametrize("family", FAMILIES)
def test_networks_that_nothing_was_fitted_to_are_estimated_within_bounds(family: str) -> None:
    wholes = held_out(load(), family)
    assert len({each.network for each in wholes}) >= 6
    assert len(wholes) >= 8
    made_of = [each.parts(family) for each in wholes]
    seen = [each.cells[family] for each in wholes]
    middle, most, _ = fit.errors([fit.estimated(m.amounts, coefficients()[family]) for m in made_of], [cells["luts"] for cells in seen])
    assert middle <= 0.10
    assert most <= 0.25
    assert fit.errors([m.ffs for m in made_of], [cells["ffs"] for cells in seen])[1] <= 0.10
    assert fit.errors([m.brams for m in made_of], [cells["brams"] for cells in seen])[1] == 0


def test_no_network_is_both_fitted_to_and_held_out() -> None:
    wholes = load().networks
    assert not {each.network for each in wholes if each.held_out} & {each.network for each in wholes if not each.held_out}


def test_flip_flops_of_pools_and_labels_are_counted_exactly() -> None:
    """Pools of one tap too, of which synthesis leaves a register."""
    units = [unit for unit in load().units if unit.spec["kind"] in ("MaxPool", "AccPool", "LabelSelect")]
    assert any(unit.spec["attributes"].get("taps") == 1 for unit in units)
    for unit in units:
        node, ports = unit_of(unit.spec)
        for family, cells in unit.cells.items():
            assert node.parts(ports, family).ffs == cells["ffs"], (unit.spec, family)


def test_a_saved_sweep_loads_as_it_was_and_a_broken_one_is_told(tmp_path: Path) -> None:
    sweep = load()
    save(sweep, tmp_path / "sweep.json")
    assert load(tmp_path / "sweep.json") == sweep
    (tmp_path / "sweep.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(DataError) as caught:
        load(tmp_path / "sweep.json")
    assert str(caught.value) == (
        f"DataError: {tmp_path / 'sweep.json'}: no sweep (schema 99)\n  allowed  schema 2\n  fix      make cost-model"
    )
