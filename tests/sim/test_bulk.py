"""Verilator with our main program shows a cocotb test the same events, at the same times, as Icarus with cocotb's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from arbonn.sim import runner
from arbonn.sim.harness import TOP

PULSES = f"""
module {TOP};
    reg done = 0, clk = 0;
    always #1 clk = ~clk;
    initial begin #7 done = 1; #5 done = 0; #4 done = 1; #3 done = 0; #9 done = 1; #1 done = 0; #1 done = 1; end
    initial #100 $finish;
endmodule
"""


@pytest.mark.slow
def test_python_sees_what_it_sees_on_icarus(tmp_path: Path) -> None:
    seen = {}
    for name in runner.NAMES:
        simulator, folder = runner.find(name), tmp_path / name
        built = runner.build(simulator, {"bench.v": PULSES}, TOP, "done", tmp_path / "builds")
        folder.mkdir()
        runner.run(simulator, built, TOP, "tests.sim.bulk_events", folder, {}, limit_s=60)
        seen[name] = json.loads((folder / "events.json").read_text())
    assert seen["verilator"] == seen["icarus"]
    assert seen["icarus"][0] == ["RisingEdge", 7, "1"]
    assert len(seen["icarus"]) == 12
