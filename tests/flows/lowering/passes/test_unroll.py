"""An unrolled network is the folded one to the bit, a frame a cycle, and one hardware whoever builds it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from arbonn.errors import ArbonnError
from arbonn.flows.lowering.passes import run_passes
from arbonn.flows.lowering.passes.unroll import Unroll
from arbonn.flows.options import LowerOptions
from arbonn.flows.target import unrolled_for
from arbonn.hw import graph_file
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.unrolled_mvau import UnrolledMVAU
from arbonn.hw.verilog import to_verilog
from arbonn.sim import bench, reference
from arbonn.sim.bench import expect
from arbonn.sim.timing import figures, predict
from arbonn.sim.trace import Trace, draw_stalls
from tests.networks import mlp
from tests.rtl import run_rtl

ICE40 = LowerOptions(unrolled="ice40")


def frames_for(graph: DataflowGraph, count: int) -> dict[str, Integers]:
    random = np.random.default_rng(0)
    return {s.id: random.choice(s.dtype.every(), (count, *s.shape)) for s in graph.inputs}


def same(wanted: Trace, seen: Trace) -> bool:
    """Every bit in every cycle."""
    times = all(wanted.transfers[name].tolist() == seen.transfers[name].tolist() for name in wanted.transfers)
    return times and wanted.payloads == {name: seen.payloads[name] for name in wanted.payloads} and not seen.violations


def networks() -> st.SearchStrategy[DataflowGraph]:
    sizes = st.lists(st.integers(1, 9), min_size=2, max_size=4).map(tuple)
    return st.builds(mlp, sizes, st.sampled_from(("bipolar", "uint3", "uint5,high=16")), st.integers(0, 99))


@settings(max_examples=8)
@given(graph=networks(), probability=st.sampled_from((0.0, 0.5)), seed=st.integers(0, 9))
def test_bits_and_cycles_of_the_rtl_are_the_models_and_a_frame_takes_one(graph: DataflowGraph, probability: float, seed: int) -> None:
    whole = unrolled_for(graph, ICE40).graph
    inputs = frames_for(graph, 12)
    for name, values in reference.execute(graph, inputs).items():
        if name in ("label", "logits"):
            assert_array_equal(reference.execute(whole, inputs)[name], values)
    assert figures(whole, predict(whole, 20)).interval == 1
    assert all(s.lanes == s.shape[-1] for s in whole.streams)
    assert not any(isinstance(node, MVAU) for node in whole.nodes)
    stalls = draw_stalls(whole, probability, seed, 200)
    wanted = expect(whole, inputs, stalls)
    assert same(wanted, run_rtl(whole, inputs, stalls, wanted.cycles))


def test_the_cells_of_7_series_are_the_models_in_icarus(tmp_path: Path) -> None:
    graph = unrolled_for(mlp((8, 6, 4), "uint3", seed=0), LowerOptions(unrolled="xc7")).graph
    assert "CARRY4" in to_verilog(Accelerator(graph), "accelerator")
    inputs = frames_for(graph, 30)
    assert same(expect(graph, inputs), bench.run_rtl(graph, inputs, None, "icarus", tmp_path))


def test_the_graph_alone_says_what_hardware_it_is(tmp_path: Path) -> None:
    graph = unrolled_for(mlp((8, 6, 4), "uint3", seed=0), ICE40).graph
    graph_file.save(graph, tmp_path)
    again, texts = graph_file.load(tmp_path), []
    for each in (again, unrolled_for(mlp((8, 6, 4), "uint3", seed=0), ICE40).graph):
        assert graph_file.digest(each) == graph_file.digest(graph)
        texts.append(to_verilog(Accelerator(each), "accelerator"))
    assert texts[0] == texts[1]
    assert again.provenance["unrolled"] == "for ice40, seed 0, moves an output 20000, 20000"


def test_a_search_out_of_time_gets_fewer_moves_and_they_stand_in_the_graph() -> None:
    graph = run_passes(mlp((40, 30, 4), "bipolar", seed=1), (Unroll("ice40", seconds=1e-9),))
    first = graph.node("mvau_0")
    assert isinstance(first, UnrolledMVAU)
    assert first.moves < 20_000
    layer = first.layer(graph.ports(first))
    assert not layer.stopped
    assert f"moves an output {first.moves}, " in graph.provenance["unrolled"]


def refused(graph: DataflowGraph, options: LowerOptions) -> str:
    with pytest.raises(ArbonnError) as caught:
        unrolled_for(graph, options)
    return str(caught.value)


def test_what_is_too_large_is_refused_before_any_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UnrolledMVAU, "layer", None)  # a search would fail
    assert refused(mlp((784, 256, 10), "uint8", seed=0), replace(ICE40, max_luts=5000)) == (
        "FitError: --unrolled: 2 layers of at least 192983 LUTs together, before any search\n  allowed  5000 LUTs\n"
        "  fix      fold the network, or train it with fewer connections (method sbnn, `fan_in`)"
    )
    assert refused(mlp((2000, 2000), "bipolar", seed=0), ICE40) == (
        "LoweringError: mvau_0 (MVAU): 2000 x 2000 weights to unroll: 2.9 GiB, 480000 LUTs or more\n"
        "  allowed  1048576 weights and 4 GiB a layer\n  fix      fold the network: leave out --unrolled"
    )
    assert refused(mlp((4, 4), "uint9", seed=0), ICE40) == (
        "LoweringError: mvau_0 (MVAU): UINT9 inputs and BIPOLAR weights\n  allowed  constant weights, and at most 8 bits\n"
        "  fix      leave out --unrolled"
    )


def test_what_does_not_go_together_is_said() -> None:
    assert refused(mlp((4, 4), "uint3", seed=0), replace(ICE40, target_fps=10.0)) == (
        "InputError: --target-fps: --unrolled\n  allowed  one of the two\n  fix      leave one out"
    )
    text = refused(mlp((8, 6, 4), "uint3", seed=0), replace(ICE40, max_luts=60))
    about = re.match(r"FitError: --unrolled: about (\d+) LUTs\n", text)
    assert about  # which number, the cost model's own tests judge
    assert int(about[1]) > 60
    assert text[about.end() :] == "  allowed  60 LUTs (--max-luts)\n  fix      leave it out"
