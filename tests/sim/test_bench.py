"""The bench sees every fault it is shown, says where, and sees none in a design that has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from arbonn.hw.accelerator import Accelerator
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph, Node
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.verilog import to_verilog
from arbonn.sim import runner
from arbonn.sim.bench import MARGIN, Bench, Run, expect, run_rtl
from arbonn.sim.harness import ACCELERATOR, bench_verilog
from arbonn.sim.records import Comparison, Difference, compare
from arbonn.sim.trace import Stalls, Trace, draw_stalls

STALLS = [0.0, 0.3, 0.9]


def draw_inputs(graph: DataflowGraph, frames: int, seed: int = 0) -> dict[str, Integers]:
    random = np.random.default_rng(seed)
    return {s.id: random.choice(s.dtype.every(), (frames, *s.shape)) for s in graph.inputs}


def same(a: Trace, b: Trace) -> bool:
    """Equal in every cycle and every bit on every stream of `a`."""
    return all(np.array_equal(a.transfers[s], b.transfers[s]) and a.payloads[s] == b.payloads[s] for s in a.transfers)


def bench_of(built: DataflowGraph, wanted: DataflowGraph, name: runner.Name, folder: Path, *, probes: bool = True) -> Bench:
    """The RTL of `built` on the bench of `wanted`."""
    return Bench(wanted, runner.find(name), folder / name, to_verilog(Accelerator(built, probes), ACCELERATOR), probes)


def play(bench: Bench, inputs: dict[str, Integers], stalls: Stalls | None) -> Run:
    expected = expect(bench.graph, inputs, stalls)
    return bench.run("run", inputs, stalls, expected.cycles + MARGIN, expected)


def judged(run: Run) -> Comparison:
    assert run.compared is not None
    return run.compared


@pytest.mark.parametrize("probability", STALLS)
def test_both_simulators_see_the_reference_and_the_prediction(
    small_classifier: DataflowGraph, bench_folder: Path, probability: float
) -> None:
    inputs = draw_inputs(small_classifier, 10)
    stalls = draw_stalls(small_classifier, probability, 5, 2000)
    expected = expect(small_classifier, inputs, stalls)
    for name in runner.NAMES:
        run = play(bench_of(small_classifier, small_classifier, name, bench_folder), inputs, stalls)
        assert judged(run) == Comparison(10 * (4 + 2 + 4 + 4 + 2 + 1 + 2), 0, 0, 0, None), name
        assert same(run.seen(), expected)
        assert run.seen().violations == ()


def test_stalls_cost_cycles_and_change_no_payload(small_classifier: DataflowGraph, bench_folder: Path) -> None:
    inputs = draw_inputs(small_classifier, 10)
    bench = bench_of(small_classifier, small_classifier, "icarus", bench_folder)
    free, stalled = (play(bench, inputs, draw_stalls(small_classifier, p, 1, 4000)).seen() for p in (0.0, 0.9))
    assert free.payloads == stalled.payloads
    assert max(t[-1] for t in stalled.transfers.values()) > 2 * max(t[-1] for t in free.transfers.values())


def test_probes_change_no_cycle(small_classifier: DataflowGraph, bench_folder: Path) -> None:
    inputs, stalls = draw_inputs(small_classifier, 5), draw_stalls(small_classifier, 0.3, 2, 1000)
    bare = play(bench_of(small_classifier, small_classifier, "icarus", bench_folder, probes=False), inputs, stalls).seen()
    probed = play(bench_of(small_classifier, small_classifier, "icarus", bench_folder), inputs, stalls).seen()
    assert set(bare.transfers) == {"pixels", "label", "logits"}
    assert same(bare, probed)


def test_run_rtl_is_the_bench_in_one_call(small_thresholder: DataflowGraph, tmp_path: Path) -> None:
    inputs = draw_inputs(small_thresholder, 3)
    assert same(expect(small_thresholder, inputs), run_rtl(small_thresholder, inputs, None, "icarus", tmp_path))


def test_the_bench_text_is_a_function_of_the_graph(small_classifier: DataflowGraph) -> None:
    assert bench_verilog(small_classifier) == bench_verilog(small_classifier)
    assert "/" + "home" not in bench_verilog(small_classifier)


@pytest.mark.parametrize("name", ["icarus", pytest.param("verilator", marks=pytest.mark.slow)])
def test_payloads_of_any_width(make_chain: Callable[..., DataflowGraph], bench_folder: Path, name: runner.Name) -> None:
    nodes = [FIFO("a", depth=2), FIFO("b", depth=1)]
    for lanes in (1, 33, 66):
        graph = make_chain(nodes, [(s, 66, "BINARY", lanes) for s in ("x", "y", "z")]).verify()
        inputs = draw_inputs(graph, 3)
        assert judged(play(bench_of(graph, graph, name, bench_folder), inputs, draw_stalls(graph, 0.3, 1, 2000))).equal
        if name == "verilator" and lanes == 33:
            break  # two builds are enough to see both kinds of record


# A design that differs from the one it is compared with: the difference seen is the one between the two models.


def flip_weight(node: Node) -> Node:
    if not isinstance(node, MVAU) or node.id != "hidden":
        return node
    weights = node.weights.copy()
    weights[5, 2] *= -1
    return replace(node, weights=weights)


def shallower(node: Node) -> Node:
    return replace(node, depth=1) if isinstance(node, FIFO) else node


@pytest.mark.parametrize(("change", "stream", "kind"), [(flip_weight, "bits", "payload"), (shallower, "bits", "cycle")])
@pytest.mark.parametrize("probability", [0.0, 0.3])
def test_another_design_is_told_by_its_first_difference(
    small_classifier: DataflowGraph, bench_folder: Path, change: Callable[[Node], Node], stream: str, kind: str, probability: float
) -> None:
    other = small_classifier.with_nodes([change(n) for n in small_classifier.nodes], small_classifier.streams)
    inputs, stalls = draw_inputs(small_classifier, 12), draw_stalls(small_classifier, probability, 3, 1000)
    compared = judged(play(bench_of(other, small_classifier, "icarus", bench_folder), inputs, stalls))
    assert compared == compare(expect(small_classifier, inputs, stalls), expect(other, inputs, stalls))
    assert compared.first is not None
    assert (compared.first.stream, compared.first.kind) == (stream, kind)
    assert (compared.cycle_mismatches == 0) == (kind == "payload")


# Faults in the RTL, as a layer between the design and its ends that misbehaves in one cycle `t`. In the `thresholder` without stalls
# x passes in cycles 0, 1, 2 …, y in 2, 3, 4 …; with frames of 2 transfers, 10 frames end y in cycle 21.

LAYER = """
module arbonn(input clk, rst, x__valid, y__ready, output x__ready, y__valid, input [7:0] x__payload, output [3:0] y__payload);
    reg [31:0] t = 0;
    wire [7:0] xp; wire [3:0] yp; wire xv, xr, yv, yr;
    always @(posedge clk) t <= rst ? 0 : t + 1;
    inner dut(.clk(clk), .rst(rst), .x__payload(xp), .x__valid(xv), .x__ready(xr), .y__payload(yp), .y__valid(yv), .y__ready(yr));
    assign xp = {xp}, xv = {xv}, x__ready = {xr}, y__payload = {yp}, y__valid = {yv}, yr = {yr};
endmodule
"""
CLEAN = {"xp": "x__payload", "xv": "x__valid", "xr": "xr", "yp": "yp", "yv": "yv", "yr": "y__ready"}


@pytest.fixture(scope="module")
def inner(small_thresholder: DataflowGraph) -> str:
    """The design's Verilog, as the layer instantiates it."""
    return to_verilog(Accelerator(small_thresholder), "inner")


def layered(graph: DataflowGraph, inner: str, folder: Path, stalls: Stalls | None = None, **fault: str) -> tuple[Comparison, Trace]:
    """The comparison of a `thresholder` with a fault in its layer, and what was expected."""
    layer = LAYER
    for name, text in (CLEAN | fault).items():
        layer = layer.replace("{" + name + "}", text)
    inputs = draw_inputs(graph, 10)
    run = play(Bench(graph, runner.find("icarus"), folder, inner + layer, probes=False), inputs, stalls)
    return judged(run), expect(graph, inputs, stalls)


def test_a_layer_without_fault_is_not_seen(small_thresholder: DataflowGraph, inner: str, tmp_path: Path) -> None:
    compared, expected = layered(small_thresholder, inner, tmp_path)
    assert compared == Comparison(40, 0, 0, 0, None)
    assert [expected.transfers[s][-1] for s in "xy"] == [19, 21]


def test_a_flipped_bit(small_thresholder: DataflowGraph, inner: str, tmp_path: Path) -> None:
    compared, expected = layered(small_thresholder, inner, tmp_path, yp="yp ^ (t == 7)")
    right = expected.payloads["y"][5]
    assert compared == Comparison(40, 1, 0, 0, Difference("payload", "y", 5, 7, hex(right), hex(right ^ 1)))
    assert str(compared.first) == f"stream y, cycle 7, transfer 5: payload: expected {right:#x}, seen {right ^ 1:#x}"


def test_a_ready_that_comes_late(small_thresholder: DataflowGraph, inner: str, tmp_path: Path) -> None:
    compared, _ = layered(small_thresholder, inner, tmp_path, xr="xr & (t != 4)", xv="x__valid & (t != 4)")
    assert compared == Comparison(40, 0, 16 + 16, 0, Difference("cycle", "x", 4, 4, "cycle 4", "cycle 5"))


def test_a_lost_transfer(small_thresholder: DataflowGraph, inner: str, tmp_path: Path) -> None:
    compared, expected = layered(small_thresholder, inner, tmp_path, yv="yv & (t != 21)")
    assert compared == Comparison(40, 1, 1, 0, Difference("missing", "y", 19, 21, hex(expected.payloads["y"][19]), "no transfer"))


def test_a_lost_transfer_in_the_middle_moves_all_after_it(small_thresholder: DataflowGraph, inner: str, tmp_path: Path) -> None:
    compared, expected = layered(small_thresholder, inner, tmp_path, yv="yv & (t != 10)")
    ahead = expected.payloads["y"]
    assert compared.first == Difference("cycle", "y", 8, 10, "cycle 10", "cycle 11")
    assert compared.cycle_mismatches == 12
    assert compared.bit_mismatches == 1 + sum(ahead[k] != ahead[k + 1] for k in range(8, 19))


def test_a_stray_transfer_after_the_last(small_thresholder: DataflowGraph, inner: str, tmp_path: Path) -> None:
    compared, _ = layered(small_thresholder, inner, tmp_path, yv="yv | (t == 60)", yp="t == 60 ? 4'd9 : yp")
    assert compared == Comparison(41, 1, 1, 0, Difference("extra", "y", 20, 60, "no transfer", "0x9"))


def held_at_6(graph: DataflowGraph) -> Stalls:
    """The sink does not take in cycles 5 to 7."""
    return Stalls({"y": np.array([k not in (5, 6, 7) for k in range(20)])}, 0.0, 0)


def test_a_payload_that_changes_while_stalled_and_comes_back(small_thresholder: DataflowGraph, inner: str, tmp_path: Path) -> None:
    compared, _ = layered(small_thresholder, inner, tmp_path, held_at_6(small_thresholder), yp="yp ^ (t == 6)")
    rule = Difference("rule", "y", None, 6, "the stream rules kept", "the payload changed before the transfer")
    assert compared == Comparison(40, 0, 0, 2, rule)  # there and back again


def test_a_valid_that_falls_while_stalled(small_thresholder: DataflowGraph, inner: str, tmp_path: Path) -> None:
    compared, _ = layered(small_thresholder, inner, tmp_path, held_at_6(small_thresholder), yv="yv & (t != 6)")
    rule = Difference("rule", "y", None, 6, "the stream rules kept", "valid fell before the transfer")
    assert compared == Comparison(40, 0, 0, 1, rule)


def test_an_unknown_payload_is_not_read_as_zero(small_thresholder: DataflowGraph, inner: str, tmp_path: Path) -> None:
    compared, _ = layered(small_thresholder, inner, tmp_path, yp="{yp[3:1], t == 9 ? 1'bx : yp[0]}")
    rule = Difference("rule", "y", None, 9, "the stream rules kept", "a transferred payload has X bits")
    assert (compared.violations, compared.first) == (1, rule)


def test_an_unknown_ready_is_not_read_as_low(small_thresholder: DataflowGraph, inner: str, tmp_path: Path) -> None:
    compared, _ = layered(small_thresholder, inner, tmp_path, xr="t == 40 ? 1'bx : xr")
    rule = Difference("rule", "x", None, 40, "the stream rules kept", "valid or ready is X")
    assert compared == Comparison(40, 0, 0, 1, rule)


def test_a_design_that_looks_at_a_payload_that_is_not_valid(small_thresholder: DataflowGraph, inner: str, tmp_path: Path) -> None:
    late = Stalls({"x": np.array([k not in (3, 4) for k in range(20)])}, 0.0, 0)
    compared, _ = layered(small_thresholder, inner, tmp_path, late, xr="xr ^ (x__payload[0] & (t == 4))")
    rule = Difference("rule", "x", None, 4, "the stream rules kept", "valid or ready is X")
    assert compared.first == rule
