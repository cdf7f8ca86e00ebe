"""Measuring: side by side as alone, kept by content, and the fit finds what made its data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from arbonn.flows.calibrate import fit, measure
from arbonn.flows.calibrate.shipped import load
from arbonn.flows.calibrate.spec import unit_of
from arbonn.flows.store import Store
from arbonn.flows.synth import synthesize
from arbonn.hw.verilog import to_verilog


def test_the_fit_finds_the_coefficients_that_made_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "TRUST", 1e-3)
    random = np.random.default_rng(0)
    truth = {"adder": 1.2, "index": 2.0, "unit": 5.0}
    units = [{name: float(random.integers(1, 200)) for name in truth} for _ in range(60)]
    found = fit.fitted(units, [fit.estimated(unit, truth) for unit in units])
    assert found == pytest.approx(truth | fit.COUNTED, rel=0.02)


def test_a_coefficient_is_never_negative() -> None:
    units = [{"adder": 1.0, "index": 10.0}, {"adder": 10.0, "index": 11.0}, {"adder": 20.0, "index": 12.0}]
    assert min(fit.fitted(units, [100.0, 50.0, 5.0]).values()) >= 0


def test_errors_are_relative_to_what_was_seen() -> None:
    assert fit.errors([90, 100, 120], [100, 100, 100])[0] == pytest.approx(0.1)
    assert fit.errors([0, 5], [0, 0])[2] == 1.0


@pytest.mark.slow  # synthesises
def test_what_is_measured_side_by_side_is_what_each_takes_alone_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [unit.spec for unit in load().units if unit.spec["kind"] in ("FIFO", "DWC", "AddStreams", "LabelSelect")][:4]
    components = [node.component(ports) for node, ports in map(unit_of, specs)]
    modules = [measure.rtlil_of(component) for component in components]
    found = measure.measured(modules, "ice40", Store(tmp_path))
    for component, cells in zip(components, found, strict=True):
        alone = synthesize(to_verilog(component, "top"), "top", "ice40")
        assert (cells["ffs"], cells["brams"]) == (alone.ffs, alone.brams)
        assert cells["luts"] == pytest.approx(alone.luts, rel=0.02, abs=1)
    monkeypatch.setattr(measure, "_synthesized", None)  # nothing is asked for again
    assert measure.measured(modules, "ice40", Store(tmp_path)) == found
