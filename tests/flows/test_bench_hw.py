"""The bench of hardware: what each measurement is of, beside whom, and that what is missing is told. Its figures are no test's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from arbonn.flows.bench.table import measure
from arbonn.flows.bench_hw import clock, da4ml, layers, networks
from arbonn.flows.bench_hw.kept import cells, kept
from arbonn.flows.bench_hw.measures import GROUPS
from arbonn.flows.bench_hw.route import Routed
from arbonn.flows.doctor import version_of
from arbonn.flows.families import TOP, Cells
from arbonn.flows.synth import synthesize
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.verilog import ports_to_verilog, to_verilog

INSTALL = ".venv/bin/pip install -c constraints.txt -e '.[peers]'"


def test_a_missing_tool_or_file_leaves_its_group_out_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ARBONN_DATA", str(tmp_path))
    monkeypatch.setattr(da4ml, "version_of", lambda name: None)
    measure(tmp_path / "hw.json", ["da4ml", "tfc", "published"], GROUPS, ("amaranth",))
    found = json.loads((tmp_path / "hw.json").read_text())
    assert found["da4ml"] == f"ToolError: da4ml: not installed\n  fix      {INSTALL}"
    assert found["tfc"] == f"ToolError: ARBONN_DATA: no TFC_1W1A.onnx in {tmp_path}\n  allowed  the folder with TFC_1W1A.onnx"
    assert [row["seen"] for row in found["published"]] == list(networks.PUBLISHED.values())
    printed = capsys.readouterr().out
    assert f"da4ml: left out: {found['da4ml']}" in printed
    assert "published: FINN 2017, SFC-max" in printed


def test_matrices_are_those_that_others_were_measured_on() -> None:
    random = np.random.default_rng(0)
    dense = random.choice([-1, 1], size=(64, 64))
    assert_array_equal(layers.Case(64).weights(), dense)
    sparse = layers.Case(64, density=0.1).weights()
    assert_array_equal(sparse[sparse != 0], dense[sparse != 0])
    assert 0.08 < np.mean(sparse != 0) < 0.12
    assert len({str(case) for case in layers.CASES}) == len(layers.CASES)


def test_da4ml_multiplies_by_the_matrix(tmp_path: Path) -> None:
    if version_of("da4ml") is None:
        pytest.skip(f"da4ml is not installed: {INSTALL}")
    weights = np.random.default_rng(1).choice([-1, 1], size=(8, 4))
    verilog, signs = da4ml.solve(weights, tmp_path)
    assert f"module {da4ml.TOP} " in verilog
    assert {"shift_adder", "negative", "mux"} <= set(re.findall(r"^module (\w+)", verilog, re.MULTILINE))
    assert len(signs) == 4
    top = re.search(r"output \[(\d+):0\] model_out", verilog)
    assert top is not None
    assert max(signs) == int(top[1])


def test_what_some_outputs_need_is_all_cells_on_a_way_to_them() -> None:
    def cell(a: int, y: int) -> dict[str, object]:
        return {"type": "LUT1", "port_directions": {"I0": "input", "O": "output"}, "connections": {"I0": [a], "O": [y]}}

    cells = {"a": cell(2, 3), "b": cell(3, 4), "c": cell(3, 5), "d": cell(5, 6)}
    module = {"ports": {"x": {"direction": "input", "bits": [2]}, "y": {"direction": "output", "bits": [4, 6, 2]}}, "cells": cells}
    for bits, left in (((0,), "ab"), ((1,), "acd"), ((0, 1), "abcd"), ((2,), "")):
        found = da4ml.needed(module, bits)
        assert "".join(sorted(found["cells"])) == left
        assert found["ports"]["y"]["bits"] == [module["ports"]["y"]["bits"][bit] for bit in bits]


def test_the_chain_is_cut_where_it_says() -> None:
    graph = clock.chain()
    kinds = "".join("F" if isinstance(node, FIFO) else "M" for node in graph.nodes)
    assert kinds == "MMMMFMMMMFMMMMFMMMM"
    assert all(node.depth == 2 for node in graph.nodes if isinstance(node, FIFO))


@pytest.mark.parametrize("control", [False, True])
def test_pinned_designs_have_a_register_at_every_pin(control: bool) -> None:
    graph = clock.chain(units=3, cut=2, size=4, lanes=2)
    pinned = clock.Pinned(graph, control=control)
    text = ports_to_verilog(pinned, TOP, pinned.pins)
    assert sum(isinstance(node, MVAU) for node in graph.nodes) == 3
    top = text[text.index(f"module {TOP}(") :].partition("endmodule")[0]
    assert top.count("always @(posedge clk)") == len(pinned.pins)
    assert ("acc_0" in text) == (not control)


def test_the_best_of_all_seeds_is_told_with_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = {1: 90.0, 2: 120.0, 3: 100.0}
    monkeypatch.setattr(clock, "synthesis", lambda verilog, device, folder: Cells(7, 1, 0, 0))
    tried = lambda cells, device, folder, mhz, seed: Routed(cells, speeds[seed], f"path {seed}", float(seed))  # noqa: E731
    monkeypatch.setattr(clock, "route", tried)
    routed = clock.best("", clock.HX8K, 100.0, tmp_path)
    assert routed == Routed(Cells(7, 1, 0, 0), 120.0, "path 2", 6.0)
    first, second, third = clock.told("it", routed, 110.0)
    assert (first.seen, first.reached, first.what) == (120.0, True, "it, best of 3 seeds")
    assert (first.note, second.seen, third.seen) == ("path 2", 7, 6.0)
    assert str(first).endswith("  reached     path 2")


def test_a_design_is_measured_once_for_each_way_to_measure_it() -> None:
    made = []

    def measured(design: str, seed: int) -> object:
        def make() -> dict[str, int]:
            made.append((design, seed))
            return {"luts": len(made)}

        return kept("test", design, {"seed": seed}, ("amaranth",), ("flows/bench_hw/kept.py",), make)["luts"]

    assert [measured("a", 1), measured("a", 1), measured("b", 1), measured("a", 2), measured("b", 1)] == [1, 1, 2, 3, 2]
    assert made == [("a", 1), ("b", 1), ("a", 2)]


@pytest.mark.slow
def test_a_network_is_counted_from_yosys_own_text() -> None:
    graph = clock.chain(units=1, size=4, lanes=2)
    text = to_verilog(Accelerator(graph), "accelerator")
    assert cells(Accelerator(graph), "xc7") == synthesize(text, "accelerator", "xc7")


@pytest.mark.slow
def test_a_control_chain_is_placed_and_routed(tmp_path: Path) -> None:
    pinned = clock.Pinned(clock.chain(units=2, cut=1, size=8, lanes=2), control=True)
    routed = clock.best(ports_to_verilog(pinned, TOP, pinned.pins), clock.HX8K, 100.0, tmp_path)
    assert 50 < routed.fmax_mhz < 600
    assert "ns" in routed.slowest_path
    assert 10 < routed.cells.luts < 100
