"""The AXI shell on Icarus with cocotbext-axi (`axi_bench`), its memory map, and what is no network for a device."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Value

from arbonn.errors import GraphError
from arbonn.hw import graph_file
from arbonn.hw.datatypes import datatype, smallest
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.parameters import runtime_units, with_runtime_parameters
from arbonn.hw.shells import axi
from arbonn.hw.shells.axi import axi_verilog
from arbonn.hw.shells.axi_map import TOP, Register, Window, memory_map, same_hardware
from arbonn.hw.shells.axi_registers import AxiRegisters
from arbonn.hw.shells.axi_stream import StreamOutput, buffered
from arbonn.hw.units.dwc import DWC
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.thresholding import Thresholding
from arbonn.sim import runner
from arbonn.sim.timing import predict
from tests.graph_builder import GraphBuilder
from tests.hw.test_parameters import other_network
from tests.networks import mlp, small_network

FRAMES = 4
TESTS = 18  # of the bench
BENCH = "tests.hw.shells.axi_bench"


def wide_network() -> DataflowGraph:
    """Words of weights of 80 bits, three registers each; weights of 2 bits; one output; a table of one word; several lanes."""
    random = np.random.default_rng(0)
    bit, few, ternary = datatype("BIPOLAR"), datatype("UINT2"), datatype("TERNARY")
    made = GraphBuilder(((40,), datatype("INT4"), 2))
    x = made.chain(Thresholding("threshold", random.integers(-3, 3, (40, 1))), "x", ((40,), bit, 2))
    x = made.chain(DWC("widen"), x, ((40,), bit, 40))
    first = MVAU("first", random.choice([-1, 1], (6, 40)), bit, thresholds=np.sort(random.integers(15, 26, (6, 3)), axis=1))
    x = made.chain(first, x, ((6,), few, 2))
    x = made.chain(DWC("join"), x, ((6,), few, 6))
    second = MVAU("second", random.integers(-1, 2, (5, 6)), ternary, "dot")
    low, high = second.accumulator_range(0, 3, few)
    made.chain(second, x, ((5,), smallest(int(low.min()), int(high.max())), 5))
    return made.graph()


CASES = {"two outputs": small_network, "wide words": wide_network}


def predicted_cycles(graph: DataflowGraph, frames: int) -> int:
    """From the first beat to the last of all, from a source that never waits to sinks that are always ready."""
    trace = predict(buffered(graph), frames)
    return int(max(trace.transfers[s.id][-1] for s in graph.outputs) - trace.transfers[graph.inputs[0].id][0])


def simulate(device: DataflowGraph, other: DataflowGraph, verilog: str, folder: Path) -> dict[str, str | None]:
    """Runs the bench; for each of its tests None, or why it failed."""
    simulator = runner.find("icarus")
    work = folder / "run"
    graph_file.save(device, work / "device")
    graph_file.save(other, work / "other")
    cycles = {count: predicted_cycles(device, count) for count in (1, 2, FRAMES)}
    (work / "case.json").write_text(json.dumps({"seed": 7, "frames": FRAMES, "cycles": cycles}))
    built = runner.build(simulator, {"axi.v": verilog}, TOP, "aclk", folder / "builds")
    runner.run(simulator, built, TOP, BENCH, work, {}, limit_s=300)
    found = {}
    for case in ET.parse(work / "results.xml").iter("testcase"):
        failure = case.find("failure")
        failure = case.find("error") if failure is None else failure
        found[case.attrib["name"]] = None if failure is None else f"{failure.attrib} {failure.text or ''}"
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_shell_does_what_its_contract_says(name: str, tmp_path: Path) -> None:
    device = with_runtime_parameters(CASES[name]())
    found = simulate(device, other_network(device, 1), axi_verilog(device), tmp_path)
    assert {test: why for test, why in found.items() if why} == {}
    assert len(found) == TESTS


def whole(registers: AxiRegisters, m: Module, window: Window) -> tuple[Value, Value]:
    """A window that writes with every part of a word."""
    hit, _ = HIT(registers, m, window)
    return hit, Const(1, 1)


HIT = AxiRegisters._hit
FAULTS: dict[str, tuple[object, str, object, str]] = {
    "ends without buffers": (axi, "buffered", lambda graph: graph, "no_output_follows_an_input_within_a_cycle"),
    "no soft reset": (axi, "ResetInserter", lambda clear: lambda part: part, "a_reset_in_the_middle_of_a_frame_leaves_nothing_of_it"),
    "parts written one by one": (AxiRegisters, "_hit", whole, "another_network_can_be_loaded_and_survives_resets"),
    "a TLAST that is never high": (
        StreamOutput,
        "position",
        lambda end, m, transfer: (Const(0, 1), Const(0, 1)),
        "frames_are_the_references",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_shell_is_found_out(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = with_runtime_parameters(wide_network())
    where, name, what, test = FAULTS[fault]
    monkeypatch.setattr(where, name, what)
    found = simulate(device, other_network(device, 1), axi_verilog(device), tmp_path)
    assert any(why for name, why in found.items() if name.startswith(test))


def test_each_table_has_a_window_of_its_own_and_the_json_says_where() -> None:
    for network in map(with_runtime_parameters, (small_network(), wide_network())):
        found = memory_map(network)
        tables = [(node.id, name, *table) for node in runtime_units(network) for name, table in node.tables(network.ports(node)).items()]
        assert [(w.unit, w.table, w.words, w.width) for w in found.windows] == tables
        for before, window in pairwise(found.windows):
            assert window.address >= before.address + before.span
        for window in found.windows:
            assert window.address % window.span == 0
            assert window.address + window.span <= 1 << found.address_bits
            assert window.parts * 32 >= window.width > (window.parts - 1) * 32
        assert [write for write, _ in found.writes(network)] == sorted({write for write, _ in found.writes(network)})
        document = json.loads(json.dumps(found.as_json()))
        assert [w["address"] for w in document["windows"]] == [w.address for w in found.windows]
        assert {r["name"]: r["address"] for r in document["registers"]} == {r.name: int(r) for r in Register}
        assert next(r["bits"] for r in document["registers"] if r["name"] == "STATUS") == {
            "BUSY": 0,
            "DONE": 1,
            "MISPLACED": 2,
            "OVERLAP": 3,
        }


def test_a_constant_device_has_registers_and_no_window() -> None:
    assert memory_map(small_network()).windows == ()
    assert memory_map(small_network()).address_bits == 12
    verilog = axi_verilog(small_network())
    header = verilog[verilog.index(f"module {TOP}(") :].partition(");")[0]
    names = {name.strip() for name in header.partition("(")[2].replace("\n", "").split(",")}
    lite = {f"s_axi_{c}{s}" for c in ("aw", "w", "b", "ar", "r") for s in ("valid", "ready")}
    lite |= {f"s_axi_{s}" for s in ("awaddr", "awprot", "wdata", "wstrb", "bresp", "araddr", "arprot", "rdata", "rresp")}
    ends = {f"{end}_t{s}" for end in ("s_axis", "m_axis_label", "m_axis_logits") for s in ("data", "valid", "ready", "last")}
    assert names == {"aclk", "aresetn", "interrupt"} | lite | ends
    assert "load_" not in verilog


def other(**changes: object) -> DataflowGraph:
    graph = with_runtime_parameters(small_network())
    return graph.with_nodes([replace(n, **changes) if n.id == "mvau_0" else n for n in graph.nodes], graph.streams)


WRONG = {
    "a constant network": (small_network(), "mvau_0: another parameters; mvau_1: another parameters; logit_table: another parameters"),
    "another pipeline": (other(depth=4), "mvau_0: another depth"),
    "more units": (
        with_runtime_parameters(mlp((8, 4, 4, 4), "uint3", seed=0, lanes=2)),
        "stream mvau_1_o: mvau_1_o (4,) BIPOLAR by 2, in the device mvau_1_o (4,) UINT3 by 2; "
        "stream mvau_2_o: mvau_2_o (4,) UINT3 by 2, in the device logit_table_o (4,) INT8 by 2; "
        "stream logit_table_o: logit_table_o (4,) INT8 by 2, in the device label (1,) UINT2 by 1; ...",
    ),
}


@pytest.mark.parametrize(("network", "found"), WRONG.values(), ids=WRONG)
def test_a_network_for_other_hardware_is_refused(network: DataflowGraph, found: str) -> None:
    device = with_runtime_parameters(small_network())
    assert same_hardware(device, other_network(device, 3))
    with pytest.raises(GraphError) as caught:
        same_hardware(device, network)
    assert str(caught.value) == (
        f"GraphError: parameters to load: {found}\n"
        "  allowed  a network that differs from the device's in its run-time parameters only\n"
        "  fix      lower both networks with --runtime-weights and the same folding"
    )


def test_a_constant_units_parameters_are_part_of_the_hardware() -> None:
    """Of a device with one run-time unit and constant ones, only that one's may differ."""
    graph = small_network()
    device = graph.with_nodes([replace(n, parameters="runtime") if n.id == "mvau_0" else n for n in graph.nodes], graph.streams)
    every = other_network(device, 2)
    only = device.with_nodes([every.node(n.id) if n.id == "mvau_0" else n for n in device.nodes], device.streams)
    assert same_hardware(device, only) is only
    with pytest.raises(GraphError) as caught:
        same_hardware(device, every)
    assert caught.value.found == "mvau_1: another weights; logit_table: another table"
