"""The native engine writes what the HDL bench with cocotb writes: every record, every breach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from arbonn.errors import CheckError, ToolError
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.verilog import to_verilog
from arbonn.sim import runner
from arbonn.sim.bench import MARGIN, Bench, Run, expect
from arbonn.sim.check import CheckOptions, check, draw_to_the_end
from arbonn.sim.harness import ACCELERATOR
from arbonn.sim.native import NativeBench
from tests.networks import mlp


@pytest.fixture(scope="session")
def folder(bench_folder: Path) -> Path:
    """Where `check` compiles for Verilator: the loop is compiled once for all tests here."""
    return bench_folder / "verilator"


@pytest.fixture(scope="module")
def wide() -> DataflowGraph:
    """Streams of 3 to 144 bits: one C++ type a port each."""
    return mlp((48, 40, 12), "uint3", seed=3, lanes=4).verify()


def run_both(graph: DataflowGraph, verilog: str, folder: Path, probability: float) -> tuple[Run, Run]:
    """The same frames and stalls through the native loop and through cocotb; with Icarus, whose build takes no time."""
    x = graph.inputs[0]
    inputs = {x.id: np.random.default_rng(5).choice(x.dtype.every(), (20, *x.shape))}
    stalls = draw_to_the_end(graph, 20, probability, 1)
    expected = expect(graph, inputs, stalls)
    cycles = expected.cycles + MARGIN
    native = NativeBench(graph, runner.find("verilator"), folder, verilog).run("native", inputs, stalls, cycles, expected)
    return native, Bench(graph, runner.find("icarus"), folder, verilog).run("cocotb", inputs, stalls, cycles, expected)


@pytest.mark.parametrize("probability", [0.0, 0.5])
def test_both_engines_see_the_same(small_classifier: DataflowGraph, folder: Path, probability: float) -> None:
    verilog = to_verilog(Accelerator(small_classifier, probes=True), ACCELERATOR)
    native, cocotb = run_both(small_classifier, verilog, folder, probability)
    assert native.compared == cocotb.compared
    assert native.compared is not None
    assert native.compared.equal
    assert native.compared.transfers == 19 * 20
    for record in sorted(cocotb.folder.glob("*.rec")):
        assert (native.folder / record.name).read_bytes() == record.read_bytes()


@pytest.mark.slow
def test_ports_of_every_size(wide: DataflowGraph, folder: Path) -> None:
    native, cocotb = run_both(wide, to_verilog(Accelerator(wide, probes=True), ACCELERATOR), folder, 0.3)
    assert native.compared == cocotb.compared
    assert native.seen().payloads == cocotb.seen().payloads


def test_a_fault_is_found_and_breaches_are_told(small_classifier: DataflowGraph, folder: Path) -> None:
    sound = to_verilog(Accelerator(small_classifier, probes=True), ACCELERATOR)
    # The label's valid falls in every other cycle, taken or not.
    broken = sound.replace(".label__valid(label__valid)", ".label__valid(steady)", 1)
    logic = "reg odd = 0; always @(posedge clk) odd <= !odd; assign label__valid = odd & steady;"
    broken = broken.replace("wire label__valid;", f"wire label__valid, steady; {logic}", 1)
    native, cocotb = run_both(small_classifier, broken, folder, 0.5)
    assert native.compared == cocotb.compared
    assert native.compared is not None
    assert native.compared.violations > 0
    assert native.compared.first == cocotb.compared.first


def test_a_design_that_does_not_compile_is_told(small_thresholder: DataflowGraph, tmp_path: Path) -> None:
    bench = NativeBench(small_thresholder, runner.find("verilator"), tmp_path, "module arbonn(; endmodule")
    with pytest.raises(ToolError, match="verilator: does not compile the design"):
        bench.build()


def test_a_loop_that_breaks_off_is_told(small_classifier: DataflowGraph, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verilog = to_verilog(Accelerator(small_classifier, probes=True), ACCELERATOR)
    bench = NativeBench(small_classifier, runner.find("verilator"), folder, verilog)
    monkeypatch.setattr("arbonn.sim.records.write_stimulus", lambda *arguments: None)
    with pytest.raises(CheckError, match="go: No such file"):
        bench.run("broken", {"pixels": np.zeros((1, 8), np.int64)}, None, 10)


def test_a_check_takes_it_for_verilator(small_classifier: DataflowGraph, bench_folder: Path) -> None:
    inputs = {"pixels": np.random.default_rng(7).integers(0, 16, (30, 8))}
    options = CheckOptions({"verilator": None, "icarus": 3}, stalls=(0.0, 0.5), engine="native")
    found = check(small_classifier, inputs, bench_folder, options)
    assert found.equal
    assert [(s.name, s.frames, s.runs) for s in found.simulators] == [("verilator", 30, 2), ("icarus", 3, 2)]
    assert found.predicted == found.seen
    assert (bench_folder / "verilator" / "runs" / "stall_0.5_seed_0" / "seconds").is_file()
