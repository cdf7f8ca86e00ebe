"""What is known of device families: every board has tools, and what the plan says reaches them."""

from __future__ import annotations

import json

import pytest

from arbonn.errors import ToolError
from arbonn.flows import tools
from arbonn.flows.families import FAMILIES, himbaechel, named
from arbonn.flows.netlist import pins_of
from arbonn.flows.synth import buildable, slowest_path, synthesize
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.boards import board, boards
from arbonn.hw.boards.board import BoardTop
from arbonn.hw.shells.protocol import ends
from arbonn.hw.verilog import to_verilog
from tests.tiny import tiny_graph


@pytest.fixture(scope="module")
def verilog() -> str:
    return to_verilog(Accelerator(tiny_graph()), "tiny")


@pytest.mark.parametrize("family", ["ecp5", "gowin"])  # ice40: test_synth.py; AMD's: test_vendor.py
def test_every_family_counts_a_networks_cells(family, verilog):
    cells = synthesize(verilog, "tiny", family)
    assert 50 < cells.luts < 800
    assert 50 < cells.ffs < 400
    assert cells.brams == 0  # so few weights go to LUTs
    assert cells.carry > 0


@pytest.mark.parametrize("name", [name for name in boards() if FAMILIES[board(name).family].programs])
def test_a_boards_plan_holds_what_its_family_says(name):
    b, graph = board(name), tiny_graph()
    made_by = buildable(b)
    plan = b.platform().build(BoardTop(b, Accelerator(graph), ends(graph)), name="top", do_build=False, emit_src=False)
    commands = json.loads(plan.files["build_top.json"])["commands"]
    assert [command[0] for command in commands] == list(made_by.programs)
    assert f"top.{made_by.constraints}" in plan.files
    assert made_by.json in commands[1]
    pins = pins_of(plan.files[f"top.{made_by.constraints}"], b)
    assert (pins.rx, pins.tx) == ("uart_0__rx__io", "uart_0__tx__io")
    assert "{bitstream}" in b.program
    assert all(tools.how_to_get(program).startswith("pip install") for _, program in made_by.programs.values())


def test_himbaechel_takes_family_and_pins_as_options_of_its_own():
    old = ["--quiet", "--device", "GW1NR-LV9QN88PC6/I5", "--family", "GW1N-9C", "--json", "top.json", "--cst", "top.cst"]
    new = ["--quiet", "--device", "GW1NR-LV9QN88PC6/I5", "--vopt", "family=GW1N-9C", "--json", "top.json", "--vopt", "cst=top.cst"]
    assert himbaechel(old) == new


def test_the_slowest_path_is_told_from_end_to_end():
    def step(kind: str, delay: float, begin: str, end: str) -> dict[str, object]:
        return {"type": kind, "delay": delay, "from": {"cell": begin, "port": "Q"}, "to": {"cell": end, "port": "D"}}

    path = [step("clk-to-q", 0.5, "a", "a"), step("routing", 2.25, "a", "b"), step("setup", 0.25, "b", "b")]
    inside = {"from": "posedge clk", "to": "posedge clk", "path": path}
    outside = {"from": "posedge clk", "to": "<async>", "path": [step("routing", 99.0, "a", "pin")]}
    assert slowest_path({"critical_paths": [outside, inside]}) == "3.0 ns, 2.2 of them wires, from a (Q) to b (D)"
    assert slowest_path({"critical_paths": [outside]}) == ""


def test_a_board_that_no_open_tool_builds_for_says_what_there_is():
    with pytest.raises(ToolError) as caught:
        buildable(board("arty-a7"))
    assert str(caught.value) == (
        "ToolError: board arty-a7: no open tools make bitstreams for xc7 devices\n"
        "  fix      arbonn build DIR --board arty-a7 writes what the vendor's tools need"
    )


def test_an_unknown_family_lists_the_families():
    with pytest.raises(ToolError) as caught:
        named("max10", "board de10")
    assert str(caught.value) == "ToolError: board de10: no tools for max10 devices\n  allowed  ice40, ecp5, gowin, xc7, xcup"
