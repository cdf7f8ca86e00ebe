"""Simulators are found or asked for by name, run in an environment of their own, and never outlive who asked."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from arbonn.errors import CheckError, ToolError
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.verilog import to_verilog
from arbonn.sim import runner
from arbonn.sim.bench import Bench, run_rtl
from arbonn.sim.harness import ACCELERATOR, TOP

ENDLESS = """
module arbonn_bench; reg done = 0, clk = 0; always #1 clk = ~clk; initial #1000000000 done = 1; endmodule
"""


def program(folder: Path, name: str, prints: str) -> None:
    """A stand-in for a tool, which only tells its version."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho '{prints}'\n")
    (folder / name).chmod(0o755)


def living(folder: Path) -> list[str]:
    """Command lines of the processes that work in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(process / "cwd")).is_relative_to(folder):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it ended meanwhile, or is not ours
    return found


def wait_for(condition: Callable[[], bool], limit_s: float = 60) -> None:
    """Returns as soon as `condition()` holds."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def test_icarus_that_is_missing_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError) as caught:
        runner.find("icarus")
    assert str(caught.value) == (
        "ToolError: iverilog: not on PATH\n"
        "  allowed  Icarus Verilog 11 or newer\n"
        "  fix      sudo apt-get install iverilog"
    )  # fmt: skip


def test_icarus_that_is_too_old_is_told_from_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path, "iverilog", "Icarus Verilog version 10.3 (stable) ()")
    program(tmp_path, "vvp", "")
    with pytest.raises(ToolError, match=r"iverilog: version 10\.3 on PATH\n  allowed  Icarus Verilog 11 or newer"):
        runner.find("icarus")


def test_verilator_that_is_too_old_is_told_from_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="verilator: neither on PATH nor installed as a Python package"):
        runner.find("verilator")
    program(tmp_path, "verilator", "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
    with pytest.raises(ToolError) as caught:
        runner.find("verilator")
    assert str(caught.value) == (
        "ToolError: verilator: version 5.006 on PATH\n"
        "  allowed  5.036 or newer\n"
        f"  fix      {runner.HOW_TO_GET['verilator']}"
    )  # fmt: skip


def test_a_new_enough_verilator_on_path_is_preferred_and_left_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    program(tmp_path, "verilator", "Verilator 5.036 2025-04-27 rev v5.036")
    assert runner.find("verilator") == runner.Simulator("verilator", "5.036", str(tmp_path))
    program(tmp_path, "verilator", "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
    assert runner.find("verilator").folder != str(tmp_path)  # the Python package's


def test_finding_changes_nothing_in_our_environment() -> None:
    before = dict(os.environ)
    for name in runner.NAMES:
        runner.find(name)
    assert dict(os.environ) == before


def test_what_is_exported_here_does_not_reach_the_simulator(
    monkeypatch: pytest.MonkeyPatch, small_thresholder: DataflowGraph, tmp_path: Path
) -> None:
    for name in ("WAVES", "GUI"):
        monkeypatch.setenv(name, "1")
    for name in ("MAKEFLAGS", "SIM_CMD_PREFIX", "COCOTB_TEST_FILTER", "COCOTB_TEST_MODULES", "GPI_USERS", "VERILATOR_ROOT"):
        monkeypatch.setenv(name, "--nonsense")
    seen = run_rtl(small_thresholder, {"x": np.zeros((1, 4), np.int64)}, None, "icarus", tmp_path)
    assert len(seen.transfers["y"]) == 2


def test_a_design_is_compiled_once(monkeypatch: pytest.MonkeyPatch, small_thresholder: DataflowGraph, tmp_path: Path) -> None:
    bench = Bench(small_thresholder, runner.find("icarus"), tmp_path, to_verilog(Accelerator(small_thresholder, True), ACCELERATOR))
    first = bench.build()
    monkeypatch.setattr(runner, "_child", lambda *job: pytest.fail("compiled again"))
    assert bench.build() == first


def test_a_design_that_does_not_compile_shows_the_log(tmp_path: Path) -> None:
    with pytest.raises(ToolError) as caught:
        runner.build(runner.find("icarus"), {"bench.v": "module arbonn_bench; nonsense endmodule"}, TOP, "done", tmp_path)
    assert str(caught.value).startswith(f"ToolError: icarus: does not compile the design; the end of {tmp_path / 'failed_build.log'}:\n")
    assert "syntax error" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["failed_build.log"]


def test_a_run_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    icarus = runner.find("icarus")
    built = runner.build(icarus, {"bench.v": ENDLESS}, TOP, "done", tmp_path / "builds")
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(CheckError) as caught:
        runner.run(icarus, built, TOP, "arbonn.sim.bench_test", folder, {}, limit_s=3)
    assert str(caught.value) == (
        "CheckError: icarus: did not finish within 3 s\n"
        "  fix      fewer frames, or a longer time limit"
    )  # fmt: skip
    wait_for(lambda: living(tmp_path) == [])


CALLER = """
import sys
from pathlib import Path
from arbonn.sim import runner
folder = Path(sys.argv[1])
icarus = runner.find("icarus")
built = runner.build(icarus, {"bench.v": (folder / "endless.v").read_text()}, "arbonn_bench", "done", folder / "builds")
runner.run(icarus, built, "arbonn_bench", "arbonn.sim.bench_test", folder / "run", {}, limit_s=300)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_simulator_outlives_its_caller(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "endless.v").write_text(ENDLESS)
    (tmp_path / "run").mkdir()
    with (tmp_path / "caller.log").open("wb") as log:
        caller = subprocess.Popen([sys.executable, "-c", CALLER, str(tmp_path)], stdout=log, stderr=log)
    wait_for(lambda: any("vvp" in line for line in living(tmp_path)))
    caller.send_signal(how)
    assert caller.wait(60) != 0
    wait_for(lambda: living(tmp_path) == [])


def test_a_killed_build_leaves_no_half_of_one(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match=r"verilator: did not finish within 0\.5 s"):
        runner.build(runner.find("verilator"), {"bench.v": ENDLESS}, TOP, "done", tmp_path, limit_s=0.5)
    assert list(tmp_path.iterdir()) == []
