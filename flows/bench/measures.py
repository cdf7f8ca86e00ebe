"""The measurements: each gives rows of (what, figure, unit) and the ratio that an issue asks for."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from arbonn.errors import ToolError
from arbonn.flows.fold import Room, fold
from arbonn.flows.lowering.lower import LowerOptions, lower
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import Integers, datatype
from arbonn.hw.graph import DataflowGraph, Endpoint, Node, Stream
from arbonn.hw.units.dwc import DWC
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.swg import SWG
from arbonn.hw.verilog import to_verilog
from arbonn.sim import runner
from arbonn.sim.bench import MARGIN, Bench, expect
from arbonn.sim.fast import FastReference
from arbonn.sim.harness import ACCELERATOR
from arbonn.sim.native import NativeBench
from arbonn.sim.timing import predict

SECONDS = 2.0  # of each side of a comparison, at least


@dataclass(frozen=True)
class Row:
    """One line: what was measured, how fast, and `ratio` to `against` with the `goal` that an issue sets."""

    what: str
    per_second: float
    unit: str
    ratio: float | None = None
    against: str = ""
    goal: float | None = None


def fastest(work: Callable[[], object], amount: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """The best rate of several runs: what disturbs can only slow down."""
    work()
    best, spent = float("inf"), 0.0
    while spent < SECONDS:
        begin = clock()
        work()
        took = clock() - begin
        best, spent = min(best, took), spent + took
    return amount / best


def reference(model: Path, images: Integers) -> Iterator[Row]:
    """The fast reference against QONNX's own execution of the same file, one thread each."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.change_batchsize import ChangeBatchSize
    from qonnx.transformation.infer_shapes import InferShapes

    whole = ModelWrapper(str(model)).transform(InferShapes())
    name, shape = whole.graph.input[0].name, whole.get_tensor_shape(whole.graph.input[0].name)
    codes = images[:1000].reshape(len(images[:1000]), -1)
    values = (codes.astype(np.float32) / np.float32(255)).reshape(-1, *shape[1:])
    rates = {}
    for batch in (1, len(codes)):
        network = whole.transform(ChangeBatchSize(batch)).transform(InferShapes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # qonnx warns of the reshapes whose batch it was just told to change
            rates[batch] = fastest(partial(execute_onnx, network, {name: values[:batch]}), batch)
    graph = lower(model, LowerOptions(input="uint8,scale=1/255", samples=1)).graph
    prepared, octets = FastReference(graph), codes.astype(np.uint8)
    x = graph.inputs[0].id
    streamed = fastest(lambda: prepared.run({x: octets}), len(codes))
    called = fastest(lambda: prepared.run({x: octets[:1]}), 1)
    yield Row("QONNX, 1 image a call", rates[1], "images")
    yield Row(f"QONNX, {len(codes)} images a call", rates[len(codes)], "images")
    yield Row("fast reference, 1 image a call", called, "images", called / rates[1], "QONNX, 1 a call")
    yield Row("fast reference, images streamed", streamed, "images", streamed / rates[1], "QONNX, 1 a call", 50_000)
    yield Row(
        f"fast reference, {len(codes)} images a call", streamed, "images", streamed / rates[len(codes)], f"QONNX, {len(codes)} a call", 100
    )


def row_of_units(count: int, channels: int) -> DataflowGraph:
    """Units that all fire in every cycle."""
    dtype = datatype("UINT2")
    nodes = [Lookup(f"unit_{k}", np.arange(4)[None], 0) for k in range(count)]
    givers = [None, *(Endpoint(n.id, "o") for n in nodes)]
    takers = [*(Endpoint(n.id, "i") for n in nodes), None]
    streams = [Stream(f"s_{k}", (channels,), dtype, 1, a, b) for k, (a, b) in enumerate(zip(givers, takers, strict=True))]
    return DataflowGraph(tuple(nodes), tuple(streams), InputContract(dtype)).verify()


def convolutions(size: int, channels: int, layers: int) -> DataflowGraph:
    """A CNV-like chain: windows of 3x3, a layer that folds its neurons by two, a converter and a buffer, again and again."""
    bit, nodes = datatype("BIPOLAR"), list[Node]()
    image = (size, size, channels)
    streams = [Stream("x", image, bit, channels)]

    def then(node: Node, stream: Stream) -> None:
        last = streams[-1]
        streams[-1] = Stream(last.id, last.shape, last.dtype, last.lanes, last.source, Endpoint(node.id, "i"))
        nodes.append(node)
        streams.append(stream)

    random = np.random.default_rng(0)
    for k in range(layers):
        weights = random.choice([-1, 1], (channels, 9 * channels))
        middle = np.full((channels, 1), (9 * channels + 1) // 2)
        windows = SWG(f"swg_{k}", (3, 3), 2 * size + 4, padding=(1, 1, 1, 1), value=1)
        then(windows, Stream(f"windows_{k}", (size, size, 9 * channels), bit, channels, Endpoint(f"swg_{k}", "o")))
        then(MVAU(f"mvau_{k}", weights, bit, thresholds=middle), Stream(f"bits_{k}", image, bit, channels // 2, Endpoint(f"mvau_{k}", "o")))
        then(DWC(f"dwc_{k}"), Stream(f"words_{k}", image, bit, channels, Endpoint(f"dwc_{k}", "o")))
        then(FIFO(f"fifo_{k}", 4), Stream(f"stored_{k}", image, bit, channels, Endpoint(f"fifo_{k}", "o")))
    return DataflowGraph(tuple(nodes), tuple(streams), InputContract(bit)).verify()


def engine() -> Iterator[Row]:
    """Unit-cycles a second of the timing engine. Nothing stands beside it, so its own processor time counts, not what else runs here."""
    for what, graph, frames, goal in (
        ("timing engine, 20 units that fire every cycle", row_of_units(20, 64), 500, 2e7),
        ("timing engine, CNV-like chain of 24 units", convolutions(32, 8, 6), 10, 5e7),
    ):
        cycles = predict(graph, frames).cycles
        rate = fastest(partial(predict, graph, frames), cycles * len(graph.nodes), time.process_time)
        yield Row(what, rate, "unit-cycles", goal=goal)


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
    yield Row("RTL, native loop", native, "cycles")
    yield Row("RTL, cocotb in bulk", cocotb, "cycles", ratio, "native loop", 0.4)


def all_rows(data: Path | None) -> Iterator[tuple[str, list[Row] | str]]:
    """Every measurement by name, or why it was left out."""
    from arbonn.flows.bench.methods import cnv_methods  # here: it takes Row from this file

    yield "engine", list(engine())
    yield "methods", list(cnv_methods())
    if data is None:
        yield "reference", "ARBONN_DATA is not set: it names the folder with TFC_1W1A.onnx and mnist.npz"
        return
    model, images = data / "TFC_1W1A.onnx", np.load(data / "mnist.npz")["test_images"]
    yield "reference", list(reference(model, images))
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield "rtl", list(rtl(model, images, Path(folder)))
        except ToolError as error:
            yield "rtl", str(error)
