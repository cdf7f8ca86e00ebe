"""`--runtime-weights`: the same network in memory that can be written, and one device for all trainings of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from arbonn.flows.lowering.importer import import_model
from arbonn.flows.lowering.layers import build
from arbonn.flows.lowering.lower import drawn_frames
from arbonn.flows.lowering.passes import PASSES, run_passes
from arbonn.flows.lowering.segments import cut
from arbonn.flows.runtime_weights import with_runtime_weights
from arbonn.hw import graph_file
from arbonn.hw.contract import parse_contract
from arbonn.hw.datatypes import datatype, smallest
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.parameters import Parametric
from arbonn.hw.shells.axi_map import same_hardware
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.thresholding import Thresholding
from arbonn.sim.reference import execute
from tests.flows.networks import draw_layers, perceptron
from tests.flows.test_cli import arbonn
from tests.graph_builder import GraphBuilder
from tests.networks import small_network

SIZES = [6, 5, 12, 10]  # so many levels of logits that they stay a table
seeds = st.integers(0, 999)


def training(seed: int) -> onnx.ModelProto:
    """One of the networks of a shape; norms with rising and falling channels."""
    return perceptron(draw_layers(seed, SIZES, 1, "sign", norm=True, bias=False, gemm=False, dyadic=False), SIZES[0])


def lowered(model: onnx.ModelProto) -> DataflowGraph:
    return run_passes(build(cut(import_model(model, "net.onnx")), parse_contract("uint3"), "both").graph, PASSES)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, other=seeds)
def test_two_trainings_fit_one_device_and_compute_what_they_did(seed: int, other: int) -> None:
    constant = lowered(training(seed))
    device, network = with_runtime_weights(constant), with_runtime_weights(lowered(training(other)))
    assert same_hardware(device, network) is network
    frames = {"x": drawn_frames(device.contract, SIZES[0], 10, seed)}
    expected, found = execute(constant, frames), execute(device, frames)
    assert all((found[s.id] == expected[s.id]).all() for s in constant.streams)


def test_every_unit_that_can_is_made_so_and_logits_get_room() -> None:
    graph = with_runtime_weights(small_network())
    assert {n.id: n.writable for n in graph.nodes if isinstance(n, Parametric)} == dict.fromkeys(("mvau_0", "mvau_1", "logit_table"), True)
    changed = {s.id: s.dtype for s, old in zip(graph.streams, small_network().streams, strict=True) if s != old}
    assert changed == {"logit_table_o": datatype("INT24"), "logits": datatype("INT24")}
    assert graph_file.digest(with_runtime_weights(graph)) == graph_file.digest(graph)


def accumulators(then: bool) -> DataflowGraph:
    """Weights of 3 bits, all of them 0 or 1, on UINT2; with a unit that computes behind them, or none."""
    made = GraphBuilder(((4,), datatype("UINT2"), 1))
    fc = MVAU("fc", np.tile([0, 1], (3, 2)), datatype("INT3"), "dot")
    out = made.chain(fc, "x", ((3,), smallest(0, 6), 1))
    if then:
        made.chain(Thresholding("levels", np.array([[1], [2], [3]])), out, ((3,), datatype("BINARY"), 1))
    return made.graph()


def test_accumulators_that_leave_get_room_for_any_weights() -> None:
    assert with_runtime_weights(accumulators(then=False)).stream("fc_o").dtype == smallest(-4 * 4 * 3, 4 * 3 * 3)


def test_what_another_unit_takes_keeps_its_type() -> None:
    assert with_runtime_weights(accumulators(then=True)).stream("fc_o").dtype == datatype("UINT3")


def test_the_command_lowers_so(tmp_path: Path) -> None:
    onnx.save(training(1), tmp_path / "net.onnx")
    done = arbonn(
        "lower", tmp_path / "net.onnx", "--input", "uint3", "--runtime-weights", "--out", tmp_path, ARBONN_STORE=str(tmp_path / "s")
    )
    assert done.returncode == 0, done.stderr
    graph = graph_file.load(tmp_path)
    assert all(node.writable for node in graph.nodes if isinstance(node, Parametric))
    frames = {"x": drawn_frames(graph.contract, SIZES[0], 10, 0)}
    assert_array_equal(execute(graph, frames)["logits"], execute(lowered(training(1)), frames)["logits"])
