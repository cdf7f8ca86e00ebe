"""Foldings keep what is computed, are refused where they do not divide, and the search finds the cheapest that fits."""

from __future__ import annotations

import json
import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from arbonn.errors import FitError, FoldingError
from arbonn.flows.buffers import busy_cycles, interval, size_buffers
from arbonn.flows.fold import Room, fold, rate, total_cost
from arbonn.flows.folding import apply_folding, entries, folding_of, port_lanes, read_folding, unbuffered
from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import DataflowGraph, Ports
from arbonn.hw.units.acc_pool import AccPool
from arbonn.hw.units.add_streams import AddStreams
from arbonn.hw.units.duplicate_streams import DuplicateStreams
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.shuffle import Shuffle
from arbonn.hw.units.swg import SWG
from arbonn.hw.units.thresholding import Thresholding
from arbonn.sim.reference import execute
from tests.graph_builder import GraphBuilder
from tests.networks import mlp

NETWORK = mlp((12, 8, 6, 4), "uint3", seed=1)
ROOM = Room("ice40", luts=5280, ffs=5280, brams=30)


@st.composite
def foldings(draw: st.DrawFn, graph: DataflowGraph = NETWORK) -> dict[str, dict[str, int]]:
    """Any folding that divides."""

    def divisor(n: int) -> int:
        return draw(st.sampled_from([d for d in range(1, n + 1) if n % d == 0]))

    found = {}
    for node in unbuffered(graph).nodes:
        ports = graph.ports(node)
        found[node.id] = {"PE": divisor(ports["o" if "o" in ports else "i"].shape[-1])}
        if node.kind == "MVAU":
            found[node.id]["SIMD"] = divisor(ports["i"].shape[-1])
    return found


@settings(max_examples=40)
@given(folding=foldings())
def test_a_folding_changes_no_value_and_reads_back(folding: dict[str, dict[str, int]]) -> None:
    graph = apply_folding(NETWORK, folding)
    x = np.random.default_rng(0).integers(0, 8, (20, 12))
    before, after = execute(NETWORK, {"x": x}), execute(graph, {"x": x})
    for name in ("label", "logits"):
        assert_array_equal(after[name], before[name])
    assert {name: entry for name, entry in folding_of(graph).items() if name != "Defaults"} == folding
    assert {s.id for s in unbuffered(graph).streams} == {s.id for s in NETWORK.streams}


@settings(max_examples=15)
@given(folding=foldings())
def test_buffers_reach_the_busiest_unit_and_none_is_deeper_than_it_must_be(folding: dict[str, dict[str, int]]) -> None:
    graph = size_buffers(NETWORK, folding)
    busiest = max(busy_cycles(graph).values())
    assert interval(graph) == busiest
    for node in graph.nodes:
        if isinstance(node, FIFO):
            fewer = {graph.ports(n)["i"].id: n.depth - (n.id == node.id) for n in graph.nodes if isinstance(n, FIFO)}
            plain = {_plain_id(graph, name): depth for name, depth in fewer.items()}
            assert interval(apply_folding(NETWORK, folding, plain)) > busiest, node.id


def residual(size: int, channels: int, rows: int) -> DataflowGraph:
    """An image's fork: 3x3 convolution and threshold on one branch, nothing on the other; added, then reduced to one pixel."""
    random, bits = np.random.default_rng(0), datatype("UINT2")
    shape, wide = (size, size, channels), (size, size, rows)
    made = GraphBuilder((shape, bits, 1))
    mvau = MVAU("first", random.choice([-1, 1], (rows, channels)), datatype("BIPOLAR"), thresholds=np.full((rows, 1), channels))
    start = made.chain(mvau, "x", (wide, datatype("BINARY"), 1))
    forked, direct = made.add(DuplicateStreams("fork"), {"i": start}, {f"o{k}": made.port(start) for k in range(2)})
    windows = made.chain(SWG("swg", (3, 3), 2 * size + 3, padding=(1, 1, 1, 1)), forked, ((size, size, 9 * rows), datatype("BINARY"), 1))
    mvau = MVAU("second", random.choice([-1, 1], (rows, 9 * rows)), datatype("BIPOLAR"), thresholds=np.full((rows, 1), 4 * rows))
    branch = made.chain(mvau, windows, (wide, datatype("BINARY"), 1))
    (total,) = made.add(AddStreams("join"), {"i0": branch, "i1": direct}, {"o": (wide, datatype("UINT2"), 1)})
    made.chain(AccPool("mean", size * size), total, ((rows,), datatype("UINT8"), 1))
    return made.graph()


@pytest.mark.parametrize("folding", [{}, {"second": {"PE": 2, "SIMD": 6}, "swg": {"SIMD": 2}}])
def test_buffers_of_a_forked_graph_keep_the_rate_and_one_word_less_does_not(folding: dict[str, dict[str, int]]) -> None:
    plain = residual(5, 2, 4)
    assert interval(apply_folding(plain, folding)) is None  # without a buffer beside the window, both branches wait for ever
    graph = size_buffers(plain, folding)
    busiest = max(busy_cycles(graph).values())
    assert interval(graph) == busiest
    depths = {_plain_id(graph, graph.ports(n)["i"].id): n.depth for n in graph.nodes if isinstance(n, FIFO)}
    assert depths
    sized = unbuffered(graph)
    for name in depths:
        less = interval(apply_folding(sized, folding, {**depths, name: depths[name] - 1}))
        assert less is None or less > busiest, name
    swg = sized.node("swg")
    assert isinstance(swg, SWG)
    if swg.pixels > swg.sizes(sized.ports(swg))[0]:
        tighter = sized.with_nodes([swg.sized(swg.pixels - 1) if n is swg else n for n in sized.nodes], sized.streams)
        assert interval(apply_folding(tighter, folding, depths)) != busiest


def test_every_unit_folds_by_its_own_knobs() -> None:
    graph = residual(3, 2, 4)
    folding = {"first": {"PE": 4, "SIMD": 2}, "fork": {"PE": 2}, "swg": {"SIMD": 4}, "second": {"PE": 1, "SIMD": 12}, "mean": {"PE": 2}}
    folded = apply_folding(graph, folding)
    assert {name: entry for name, entry in folding_of(folded).items() if name in folding} == folding
    x = np.random.default_rng(0).integers(0, 4, (5, 3, 3, 2))
    assert_array_equal(execute(folded, {"x": x})["mean_o"], execute(graph, {"x": x})["mean_o"])
    with pytest.raises(FoldingError, match=r"swg \(SWG\): SIMD = 3 does not divide the 4 inputs"):
        apply_folding(graph, {"swg": {"SIMD": 3}})
    found = fold(graph, Room("ice40", 100_000, 100_000, 100), 9 * 12)
    assert interval(found.graph) == found.interval <= 9 * 12


def test_ports_with_one_key_have_lanes_that_divide_them_all_and_a_shuffle_takes_whole_pixels() -> None:
    class Both(MVAU):
        def knobs(self, ports: Ports) -> dict[str, tuple[str, int]]:
            return {"i": ("PE", 4), "o": ("PE", 6)}

    assert list(entries(Both("u", np.ones((6, 4)), datatype("BIPOLAR")), {})) == [{"PE": 1}, {"PE": 2}]
    bits = datatype("UINT2")
    made = GraphBuilder(((4,), bits, 4))
    shuffled = made.chain(Shuffle("shuffle", np.array([2, 0, 3, 1])), "x", ((4,), bits, 4))
    made.chain(Thresholding("levels", np.ones((4, 1), np.int64)), shuffled, ((4,), datatype("BINARY"), 4))
    folded = apply_folding(made.graph(), {"levels": {"PE": 2}})
    assert [node.kind for node in folded.ordered()] == ["Shuffle", "DWC", "Thresholding"]
    assert execute(folded, {"x": np.array([[0, 1, 2, 3]])})["levels_o"].tolist() == [[1, 0, 1, 1]]


def _plain_id(graph: DataflowGraph, name: str) -> str:
    """The stream of the unbuffered graph that a stream is a part of."""
    stream = graph.stream(name)
    while stream.source and graph.node(stream.source.node).kind in ("DWC", "FIFO"):
        stream = graph.ports(graph.node(stream.source.node))["i"]
    return stream.id


@pytest.mark.parametrize("cycles", [12, 24, 48, 96])
def test_the_search_finds_the_cheapest_of_all_foldings(cycles: int) -> None:
    graph = mlp((4, 4, 2), "uint2", seed=0)
    units = unbuffered(graph).nodes
    options = [
        [
            {"PE": pe} | ({"SIMD": simd} if node.kind == "MVAU" else {})
            for pe, simd in product([1, 2, 4], [1, 2, 4] if node.kind == "MVAU" else [1])
            if graph.ports(node)["o" if node.kind != "LabelSelect" else "i"].shape[-1] % pe == 0
        ]
        for node in units
    ]
    shares = []
    for choice in product(*options):
        folded = apply_folding(graph, {node.id: entry for node, entry in zip(units, choice, strict=True)})
        if max(busy_cycles(folded).values()) <= cycles:
            shares.append(ROOM.share(total_cost(folded, ROOM.target)))
    found = fold(graph, ROOM, cycles)
    unbuffered_share = ROOM.share(total_cost(apply_folding(graph, found.folding), ROOM.target))
    assert found.interval <= cycles
    assert unbuffered_share == min(shares)


def test_a_folding_that_does_not_divide_is_refused() -> None:
    with pytest.raises(FoldingError) as caught:
        apply_folding(NETWORK, {"mvau_0": {"PE": 3, "SIMD": 4}})
    assert str(caught.value) == (
        "FoldingError: mvau_0 (MVAU): PE = 3 does not divide the 8 outputs\n"
        "  allowed  PE in 1, 2, 4, 8\n"
        "  fix      take a divisor, or leave the unit out"
    )
    with pytest.raises(FoldingError, match=r"mvau_1 \(MVAU\): SIMD = 5 does not divide the 8 inputs"):
        apply_folding(NETWORK, {"mvau_1": {"SIMD": 5}})
    with pytest.raises(FoldingError, match=r"folding: no unit called 'mvau_9'\n  allowed  mvau_0, mvau_1, mvau_2, logit_table, select"):
        apply_folding(NETWORK, {"mvau_9": {"PE": 1}})


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"mvau_0": {"PE": 0}}', '{"mvau_0": {"PE": "4"}}', '{"mvau_0": {"lanes": 4}}', '{"mvau_0": {"PE": true}}']
)
def test_a_file_that_holds_no_folding_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "folding.json"
    path.write_text(text)
    with pytest.raises(FoldingError, match=r"folding\.json"):
        read_folding(path)


def test_a_unit_that_stands_twice_in_a_folding_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "folding.json"
    path.write_text('{"mvau_0": {"PE": 2}, "mvau_0": {"PE": 4}}')
    with pytest.raises(FoldingError) as caught:
        read_folding(path)
    assert str(caught.value) == (
        f'FoldingError: {path}: no readable JSON file (\'mvau_0\' stands there twice)\n  allowed  {{"mvau_0": {{"PE": 2, "SIMD": 16}}}}'
    )


def test_a_folding_file_is_finns_shape(tmp_path: Path) -> None:
    path = tmp_path / "folding.json"
    path.write_text(json.dumps({"Defaults": {}, "mvau_0": {"PE": 2, "SIMD": 6}}))
    graph = apply_folding(NETWORK, read_folding(path))
    assert port_lanes(graph.node("mvau_0"), graph.ports(graph.node("mvau_0")), folding_of(graph)) == {"i": 6, "o": 2}


def test_a_network_that_does_not_fit_says_by_how_much_and_what_would() -> None:
    with pytest.raises(FitError) as caught:
        fold(NETWORK, Room("ice40", luts=20, ffs=5280, brams=30), 6)
    allowed = int(re.search(r"needs about (\d+) LUTs", str(caught.value))[1]) - 20  # type: ignore[index]
    room = Room("ice40", luts=allowed, ffs=5280, brams=30)
    with pytest.raises(FitError) as caught:
        fold(NETWORK, room, 6)
    message = str(caught.value)
    assert message.startswith("FitError: folding: the cheapest folding of 6 cycles a frame needs about ")
    assert f"  allowed  {allowed} LUTs, 5280 flip-flops, 30 block RAMs\n" in message
    assert " cycles a frame fit (about " in message
    luts, over = re.search(r"needs about (\d+) LUTs \((\d+) too many\), \d+ flip-flops, \d+ block RAMs\n", message).groups()  # type: ignore[union-attr]
    assert int(luts) - int(over) == allowed
    assert caught.value.exit_code == 1
    with pytest.raises(FitError) as caught:
        fold(NETWORK, room, 6, clock_mhz=12.0)
    asked = re.search(r"\): lower it with --target-fps ([\d.]+), or take a larger board$", str(caught.value))
    assert asked is not None
    assert fold(NETWORK, room, int(12e6 / float(asked[1]))).interval <= 12e6 / float(asked[1])
    with pytest.raises(FitError, match="no folding of this network fits: take a larger board or a smaller network"):
        fold(NETWORK, Room("ice40", luts=20, ffs=5280, brams=30), 100)


@given(interval=st.integers(1, 10**9), clock_mhz=st.sampled_from([12.0, 25.0, 27.0, 100.0, 33.333]))
def test_the_rate_that_is_told_leaves_the_cycles_that_fit(interval: int, clock_mhz: float) -> None:
    told = float(rate(interval, clock_mhz))
    assert 0.999 * clock_mhz * 1e6 / interval < told
    assert interval <= int(clock_mhz * 1e6 / told) <= 1.0011 * interval + 1


def test_a_rate_that_no_folding_reaches_names_the_unit() -> None:
    with pytest.raises(FitError) as caught:
        fold(NETWORK, ROOM, 0)
    assert str(caught.value) == (
        "FitError: mvau_0 (MVAU): 1 cycles a frame even when fully parallel\n"
        "  allowed  0 cycles a frame, as asked\n"
        "  fix      ask for a lower rate"
    )
