"""A bitstream is what was meant: built, turned back, simulated at its pins; and a wrong one is noticed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth_boards.icestick import ICEStickPlatform

from arbonn.errors import CheckError, FitError
from arbonn.flows import tools
from arbonn.flows.icebox import check_cells, flip_bit, to_verilog
from arbonn.flows.netlist import check_netlist, predicted_cycles
from arbonn.flows.synth import BuildOutcome, build
from arbonn.hw.boards import Board, board
from arbonn.hw.graph import DataflowGraph
from tests.tiny import tiny_graph, tiny_images

BOARD = board("icebreaker")


@pytest.fixture(scope="module")
def graph() -> DataflowGraph:
    return tiny_graph()


@pytest.fixture(scope="module")
def built(graph: DataflowGraph, tmp_path_factory: pytest.TempPathFactory) -> BuildOutcome:
    return build(graph, BOARD, tmp_path_factory.mktemp("built"))


def test_bitstream_gives_the_references_answers_and_the_rtls_cycles(graph, built, tmp_path):
    outcome = check_netlist(graph, BOARD, built, tiny_images(graph, 2), tmp_path)
    assert outcome.first_difference == ""
    assert outcome.good
    assert (outcome.frames, outcome.mismatches, outcome.rtl_mismatches, outcome.cycles_equal) == (2, 0, 0, True)
    assert outcome.device_cycles == (predicted_cycles(graph),) * 2
    assert built.timing_met


def test_a_missed_clock_is_told_and_where_the_slowest_path_lies(built):
    assert built.timing_met
    assert not replace(built, clock_mhz=built.fmax_mhz + 0.1).timing_met
    told = re.fullmatch(r"([\d.]+) ns, ([\d.]+) of them wires, from \S+ \(\w+\) to \S+ \(\w+\)", built.slowest_path)
    assert told
    assert abs(float(told[1]) - 1000 / built.fmax_mhz) < 0.06  # the one in the report that sets the clock
    assert 0 < float(told[2]) < float(told[1])


def changed(built: BuildOutcome, folder: Path, number: int) -> BuildOutcome:
    """The build with one bit of its bitstream flipped."""
    folder.mkdir()
    for path in built.bitstream.parent.glob("top.*"):
        text = path.read_bytes()
        (folder / path.name).write_bytes(flip_bit(text.decode(), number).encode() if path.suffix == ".asc" else text)
    return replace(built, bitstream=folder / "top.bin")


def test_a_flipped_bit_of_a_weight_is_noticed(graph, built, tmp_path):
    outcome = check_netlist(graph, BOARD, changed(built, tmp_path / "built", -1), tiny_images(graph, 2), tmp_path / "work")
    assert outcome.mismatches == 2
    assert outcome.rtl_mismatches == 0
    assert outcome.first_difference.startswith("bitstream, frame 0: label ")


@pytest.mark.slow
def test_flipped_bits_of_logic_are_noticed(graph, built, tmp_path):
    # One LUT in forty. Measured: 6 of 10 noticed with one frame. The others are entries of truth tables that no good request
    # reads (faults, timeouts, the power-on reset): a simulation sees only what its stimulus reaches.
    flips = range(10, 410, 40)
    outcomes = [
        check_netlist(graph, BOARD, changed(built, tmp_path / f"built{k}", k), tiny_images(graph, 1), tmp_path / "work") for k in flips
    ]
    assert sum(not outcome.good for outcome in outcomes) >= len(flips) // 2


@pytest.mark.slow
def test_the_hx8ks_bitstream_too(graph, tmp_path):
    larger = board("hx8k")
    built = build(graph, larger, tmp_path / "built")
    outcome = check_netlist(graph, larger, built, tiny_images(graph, 2), tmp_path / "work")
    assert outcome.compared == "bitstream"
    assert outcome.first_difference == ""
    assert outcome.good
    assert outcome.device_cycles == (predicted_cycles(graph),) * 2
    assert built.timing_met


@pytest.mark.slow
def test_twenty_frames(graph, built, tmp_path):
    outcome = check_netlist(graph, BOARD, built, tiny_images(graph, 20), tmp_path)
    assert outcome.good
    assert outcome.device_cycles == (predicted_cycles(graph),) * 20


def test_a_missing_cell_is_noticed(built):
    verilog = to_verilog(built.bitstream.with_suffix(".asc"), built.bitstream.with_suffix(".pcf"))
    check_cells(verilog, built)
    for name, wrong in (("ffs", replace(built, ffs=built.ffs + 1)), ("brams", replace(built, brams=built.brams + 1))):
        with pytest.raises(CheckError, match=f"{getattr(wrong, name)} {name}"):
            check_cells(verilog, wrong)


def test_the_binary_file_holds_the_same_circuit(built, tmp_path):
    for suffix in (".bin", ".pcf"):
        (tmp_path / f"top{suffix}").write_bytes(built.bitstream.with_suffix(suffix).read_bytes())
    constraints = built.bitstream.with_suffix(".pcf")
    assert to_verilog(tmp_path / "top.bin", constraints) == to_verilog(built.bitstream.with_suffix(".asc"), constraints)


def test_without_its_tools_the_check_is_skipped_and_says_how_to_get_them(graph, built, tmp_path, monkeypatch):
    monkeypatch.setattr(tools, "find", lambda name: None)
    outcome = check_netlist(graph, BOARD, built, tiny_images(graph, 1), tmp_path)
    assert not outcome.good
    assert outcome.skipped == (
        "icebox_vlog and iverilog not found; to have it: sudo apt-get install fpga-icestorm && sudo apt-get install iverilog"
    )


def test_equal_graphs_give_equal_files_wherever_they_are_built(graph, built, tmp_path):
    again = build(tiny_graph(), BOARD, tmp_path / "another" / "folder")
    for suffix in (".v", ".asc", ".bin"):
        assert again.bitstream.with_suffix(suffix).read_bytes() == built.bitstream.with_suffix(suffix).read_bytes()
    assert sorted(p.name for p in again.bitstream.parent.iterdir()) == sorted(p.name for p in built.bitstream.parent.iterdir())


def test_what_does_not_fit_says_by_how_much_and_what_would(tmp_path):
    # A board with a smaller device, to be quicker; its one file would look like this.
    resources = {"luts": 1280, "ffs": 1280, "brams": 16, "bram_bits": 4096}
    small = Board("icestick", "ice40", ICEStickPlatform, clock_mhz=12.0, level_ns=1.9, baud=3_000_000, resources=resources)
    with pytest.raises(FitError) as caught:
        build(tiny_graph(elements=1024, classes=64), small, tmp_path, suggest=lambda: "a folding of 64 cycles a frame fits")
    found = re.sub(r"needs \d+ of 1280 logic cells", "needs N of 1280 logic cells", str(caught.value))
    assert found == (
        "FitError: board icestick: the network does not fit: it needs N of 1280 logic cells, 19 of 16 block RAMs (3 too many)\n"
        "  allowed  1280 logic cells, 16 block RAMs\n"
        "  fix      a folding of 64 cycles a frame fits"
    )
    assert list(tmp_path.iterdir()) == []
