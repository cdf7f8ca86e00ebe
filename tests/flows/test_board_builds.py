"""Boards other than the iCEBreaker, from a graph to a bitstream, its netlist at the pins, and what does not fit."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from arbonn.errors import FitError
from arbonn.flows import tools
from arbonn.flows.netlist import check_netlist, predicted_cycles
from arbonn.flows.synth import build, buildable
from arbonn.hw.boards import Board, board
from tests.tiny import tiny_graph, tiny_images

pytestmark = pytest.mark.slow


def ready(name: str) -> Board:
    """The board, if its tools are here."""
    b = board(name)
    missing = [program for _, program in buildable(b).programs.values() if tools.find(program) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not found; to have it: {tools.how_to_get(missing[0])}")
    return b


@pytest.mark.parametrize("name", ["ulx3s-25f", "ulx3s-85f", "tang-nano-9k"])
def test_a_board_gives_the_references_answers_and_the_rtls_cycles(name, tmp_path):
    graph, b = tiny_graph(elements=512), ready(name)  # enough weights for a block RAM
    built = build(graph, b, tmp_path / "built")
    assert built.timing_met
    assert built.slowest_path
    assert {p.name for p in (tmp_path / "built").iterdir()} == {f"top.{suffix}" for suffix in buildable(b).products}
    outcome = check_netlist(graph, b, built, tiny_images(graph, 2), tmp_path / "work")
    assert outcome.first_difference == ""
    assert outcome.good
    assert outcome.compared == "synthesis"
    assert outcome.device_cycles == (predicted_cycles(graph),) * 2

    netlist = (tmp_path / "built" / "top.syn.v").read_text()
    values = [m for m in re.finditer(r"\.INIT\w*_00\(\d+'h(\w*)\)", netlist) if int(m[1], 16)]
    wrong = tmp_path / "wrong" / built.bitstream.name
    wrong.parent.mkdir()
    for product in built.bitstream.parent.iterdir():
        (wrong.parent / product.name).write_bytes(product.read_bytes())
    at = values[0]
    flipped = f"{int(at[1], 16) ^ 1:0{len(at[1])}x}"
    (wrong.parent / "top.syn.v").write_text(netlist[: at.start(1)] + flipped + netlist[at.end(1) :])
    outcome = check_netlist(graph, b, replace(built, bitstream=wrong), tiny_images(graph, 2), tmp_path / "work")
    assert not outcome.good
    assert outcome.first_difference.startswith("synthesis, frame ")


def test_equal_graphs_give_equal_bitstreams_wherever_they_are_built(tmp_path):
    b = ready("tang-nano-9k")
    first, second = (build(tiny_graph(), b, tmp_path / name).bitstream.read_bytes() for name in ("one", "two"))
    assert first == second


@pytest.mark.parametrize(("name", "luts", "brams"), [("ulx3s-25f", 24288, 56), ("tang-nano-9k", 8640, 26)])
def test_what_does_not_fit_says_by_how_much(name, luts, brams, tmp_path):
    with pytest.raises(FitError) as caught:
        build(tiny_graph(elements=16384, classes=64), ready(name), tmp_path, suggest=lambda: "a smaller network")
    assert re.fullmatch(
        rf"FitError: board {name}: the network does not fit: it needs \d+ of {luts} logic cells, "
        rf"\d+ of \d+ flip-flops, \d+ of {brams} block RAMs \(\d+ too many\)\n"
        rf"  allowed  {luts} logic cells, \d+ flip-flops, {brams} block RAMs\n  fix      a smaller network",
        str(caught.value),
    )
    assert list(tmp_path.iterdir()) == []
