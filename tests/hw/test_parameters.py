"""Run-time parameters: the same bits and cycles as the constant form, and after loading those of the other network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.sim import SimulatorContext
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.errors import GraphError
from arbonn.hw import graph_file
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.graph import DataflowGraph, Node
from arbonn.hw.packing import unpack
from arbonn.hw.parameters import Parametric, runtime_units, with_runtime_parameters
from arbonn.hw.units import unit_kinds
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.thresholding import Thresholding
from arbonn.hw.units.vvau import VVAU
from arbonn.hw.verilog import to_verilog
from arbonn.sim.reference import execute
from arbonn.sim.timing import predict
from arbonn.sim.trace import draw_stalls
from tests.hw.units.test_units import IDLE
from tests.networks import small_network
from tests.rtl import run_rtl
from tests.strategies import chains, seeds, values
from tests.strategies_images import UNITS

KINDS = sorted(name for name, kind in unit_kinds().items() if issubclass(kind, Parametric))


def other_parameters(node: Node, random: np.random.Generator) -> Node:
    """The same unit with other parameters; weights stay in their row, so that accumulators without thresholds stay in their range."""
    if isinstance(node, MVAU | VVAU):
        thresholds = None if node.thresholds is None else random.permuted(node.thresholds, axis=0)
        kept = thresholds is None
        weights = random.permuted(node.weights, axis=1) if kept else values(random, node.weight_dtype, node.weights.shape)
        return replace(node, weights=weights, thresholds=None if thresholds is None else np.sort(thresholds, axis=1))
    if isinstance(node, Thresholding):
        return replace(node, thresholds=np.sort(random.permuted(node.thresholds, axis=0), axis=1))
    if isinstance(node, Lookup):
        return replace(node, table=random.permuted(node.table, axis=1))
    return node


def other_network(graph: DataflowGraph, seed: int) -> DataflowGraph:
    random = np.random.default_rng(seed)
    return graph.with_nodes([other_parameters(node, random) for node in graph.nodes], graph.streams).verify()


def loading(graph: DataflowGraph) -> Callable[[SimulatorContext, Accelerator], Any]:
    """Writes the parameters of `graph`, a word a cycle."""

    async def load(ctx: SimulatorContext, dut: Accelerator) -> None:
        for node in runtime_units(graph):
            for name, words in node.words(graph.ports(node)).items():
                port = getattr(getattr(dut, f"load_{node.id}"), name)
                ctx.set(port.en, 1)
                for address, word in enumerate(words):
                    ctx.set(port.addr, address)
                    ctx.set(port.data, word)
                    await ctx.tick()
                ctx.set(port.en, 0)

    return load


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12, deadline=None)
@given(data=st.data(), probability=st.sampled_from([0.0, 0.3]), seed=seeds)
def test_a_run_time_unit_is_exact_before_and_after_loading(kind: str, data: st.DataObject, probability: float, seed: int) -> None:
    constant = data.draw(UNITS.get(kind, chains(longest=2, first=kind)))
    graph = with_runtime_parameters(constant).verify()
    assert runtime_units(graph)
    random, frames = np.random.default_rng(seed), 2
    inputs = {s.id: values(random, s.dtype, (frames, *s.shape)) for s in graph.inputs}
    stalls = draw_stalls(graph, probability, seed, 3000)
    predicted = predict(constant, frames, stalls)
    for network, before in ((constant, None), (other := other_network(graph, seed), loading(other))):
        seen = run_rtl(graph, inputs, stalls, predicted.cycles + IDLE, before=before)
        expected = execute(network, inputs)
        assert seen.violations == ()
        for s in graph.streams:
            assert seen.transfers[s.id].tolist() == predicted.transfers[s.id].tolist(), s.id
            assert unpack(seen.payloads[s.id], s).reshape(frames, *s.shape).tolist() == expected[s.id].tolist(), s.id


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(data=st.data(), seed=seeds)
def test_words_are_as_many_and_as_wide_as_tables_say(kind: str, data: st.DataObject, seed: int) -> None:
    """And the tables of a run-time unit are the same for any parameters: what was built for one network takes another."""
    graph = with_runtime_parameters(data.draw(UNITS.get(kind, chains(longest=1, first=kind))))
    for network in (graph, other_network(graph, seed)):
        for node, own in zip(runtime_units(network), runtime_units(graph), strict=True):
            tables, words = node.tables(network.ports(node)), node.words(network.ports(node))
            assert tables == own.tables(graph.ports(own))
            assert {name: len(words[name]) for name in words} == {name: table.depth for name, table in tables.items()}
            assert all(0 <= word < 1 << tables[name].width for name in words for word in words[name])


def test_it_is_saved_and_part_of_the_digest_and_constant_graphs_keep_theirs(tmp_path: Path) -> None:
    constant, runtime = small_network(), with_runtime_parameters(small_network())
    for graph, saved in ((constant, 0), (runtime, len(runtime_units(runtime)))):
        graph_file.save(graph, tmp_path)
        assert (tmp_path / "graph.json").read_text().count('"parameters": "runtime"') == saved
        assert (tmp_path / "graph.json").read_text().count('"parameters"') == saved
        assert graph_file.digest(graph_file.load(tmp_path)) == graph_file.digest(graph)
    assert graph_file.digest(constant) != graph_file.digest(runtime)


def test_only_run_time_units_have_write_ports() -> None:
    assert "load_" not in to_verilog(Accelerator(small_network()), "arbonn")
    ports = to_verilog(Accelerator(with_runtime_parameters(small_network())), "arbonn")
    for table in ("mvau_0__weights", "mvau_0__thresholds", "mvau_1__weights", "logit_table__table_0", "logit_table__table_1"):
        assert all(f"load_{table}__{part}" in ports for part in ("en", "addr", "data"))


def test_another_word_than_the_two_is_told() -> None:
    graph = small_network()
    nodes = [replace(node, parameters="maybe") if node.id == "mvau_0" else node for node in graph.nodes]
    with pytest.raises(GraphError) as caught:
        graph.with_nodes(nodes, graph.streams).verify()
    assert caught.value.found == "mvau_0 (MVAU): 'maybe' parameters (constant or runtime)"
