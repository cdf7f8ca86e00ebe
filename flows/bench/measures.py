"""The measurements: each gives rows of (what, figure, unit) and the ratio that an issue asks for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from arbonn.errors import ToolError
from arbonn.flows.bench import cnv
from arbonn.flows.bench.methods import cnv_methods
from arbonn.flows.bench.qonnx import executed
from arbonn.flows.bench.rows import Row, fastest
from arbonn.flows.bench.table import Group
from arbonn.flows.fold import Room, fold
from arbonn.flows.lowering.lower import LowerOptions, lower
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import Integers, datatype
from arbonn.hw.graph import DataflowGraph, Endpoint, Stream
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.verilog import to_verilog
from arbonn.sim import runner
from arbonn.sim.bench import MARGIN, Bench, expect
from arbonn.sim.fast import FastReference
from arbonn.sim.harness import ACCELERATOR
from arbonn.sim.native import NativeBench
from arbonn.sim.timing import predict


def reference(model: Path, images: Integers) -> Iterator[Row]:
    """The fast reference against QONNX's own execution of the same file, one thread each."""
    codes = images[:1000].reshape(len(images[:1000]), -1).astype(np.uint8)
    rates = {batch: fastest(executed(model, codes[:batch]), batch) for batch in (1, len(codes))}
    graph = lower(model, LowerOptions(input="uint8,scale=1/255", samples=1)).graph
    prepared, x = FastReference(graph), graph.inputs[0].id
    streamed = fastest(lambda: prepared.run({x: codes}), len(codes))
    called = fastest(lambda: prepared.run({x: codes[:1]}), 1)
    yield Row("TFC: QONNX, 1 image a call", rates[1], "images/s")
    yield Row(f"TFC: QONNX, {len(codes)} images a call", rates[len(codes)], "images/s")
    yield Row("TFC: fast reference, 1 image a call", called, "images/s", called / rates[1], "QONNX, 1 a call")
    yield Row("TFC: fast reference, images streamed", streamed, "images/s", streamed / rates[1], "QONNX, 1 a call", 50_000)
    many = f"{len(codes)} images a call"
    yield Row(f"TFC: fast reference, {many}", streamed, "images/s", streamed / rates[len(codes)], f"QONNX, {many}", 100)


def row_of_units(count: int, channels: int) -> DataflowGraph:
    """Units that all fire in every cycle."""
    dtype = datatype("UINT2")
    nodes = [Lookup(f"unit_{k}", np.arange(4)[None], 0) for k in range(count)]
    givers = [None, *(Endpoint(n.id, "o") for n in nodes)]
    takers = [*(Endpoint(n.id, "i") for n in nodes), None]
    streams = [Stream(f"s_{k}", (channels,), dtype, 1, a, b) for k, (a, b) in enumerate(zip(givers, takers, strict=True))]
    return DataflowGraph(tuple(nodes), tuple(streams), InputContract(dtype)).verify()


def engine() -> Iterator[Row]:
    """Unit-cycles a second of the timing engine. Nothing stands beside it, so its own processor time counts, not what else runs here."""
    graph, frames = row_of_units(20, 64), 500
    work = predict(graph, frames).cycles * len(graph.nodes)
    rate = fastest(partial(predict, graph, frames), work, time.process_time)
    yield Row("timing engine, 20 units that fire every cycle", rate, "unit-cycles/s", goal=2e7)


def rtl(model: Path, images: Integers, folder: Path) -> Iterator[Row]:
    """Simulated cycles a second: cocotb in bulk against the bare C++ loop, on the same Verilog, all streams recorded and compared.

    They take turns, and each turn gives one ratio: the median is what counts, whatever else the machine does.
    """
    graph = fold(lower(model, LowerOptions(input="uint8,scale=1/255", samples=1)).graph, Room("xc7", 10**6, 10**6, 10**4), 784).graph
    inputs = {graph.inputs[0].id: images[:1000].reshape(-1, *graph.inputs[0].shape).astype(np.int64)}
    expected = expect(graph, inputs)
    verilog, simulator = to_verilog(Accelerator(graph, probes=True), ACCELERATOR), runner.find("verilator")
    benches = (NativeBench(graph, simulator, folder, verilog), Bench(graph, simulator, folder, verilog))
    rates = []
    for turn in range(7):
        runs = [bench.run(f"{type(bench).__name__}_{turn}", inputs, None, expected.cycles + MARGIN, expected) for bench in benches]
        assert all(run.compared is not None and run.compared.equal for run in runs)
        rates.append([run.cycles / run.simulation_s for run in runs])
    native, cocotb = (float(np.median(column)) for column in zip(*rates, strict=True))
    ratio = float(np.median([slow / quick for quick, slow in rates]))
    yield Row("RTL of TFC, native loop", native, "cycles/s")
    yield Row("RTL of TFC, cocotb in bulk", cocotb, "cycles/s", ratio, "native loop", 0.4)


def _of_tfc(group: Callable[[Path, Integers, Path], Iterable[Row]]) -> Group:
    def rows(data: Path | None, folder: Path) -> Iterable[Row]:
        if data is None:
            raise ToolError("ARBONN_DATA", found="not set", allowed="the folder with TFC_1W1A.onnx and mnist.npz")
        return group(data / "TFC_1W1A.onnx", np.load(data / "mnist.npz")["test_images"], folder)

    return rows


GROUPS: dict[str, Group] = {
    "engine": lambda data, folder: engine(),
    "methods": lambda data, folder: cnv_methods(),
    "cnv": lambda data, folder: cnv.rows(folder),
    "reference": _of_tfc(lambda model, images, folder: reference(model, images)),
    "rtl": _of_tfc(rtl),
}
"""Every measurement by name; one that lacks a tool or the data raises ToolError."""
