"""How fast a clock the hardware takes, after place and route: a whole network on ECP5, control alone and a window generator on iCE40."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from amaranth.hdl import Elaboratable, Module, Signal, Value

from arbonn.flows.bench.rows import Row
from arbonn.flows.bench_hw.kept import Found, kept
from arbonn.flows.bench_hw.networks import CONTRACT, TFC
from arbonn.flows.bench_hw.route import ECP5_85, HX8K, Device, Routed, route, synthesis
from arbonn.flows.families import TOP, YOSYS, Cells
from arbonn.flows.fold import fold
from arbonn.flows.lowering.lower import LowerOptions, lower
from arbonn.flows.target import Target, clocked_for
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.boards import any_board
from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import DataflowGraph, Endpoint, Node, Stream
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.swg import SWG
from arbonn.hw.verilog import ports_to_verilog, to_verilog
from arbonn.sim.timing import figures, predict

SEEDS = (1, 2, 3)
UNITS, CUT = 16, 4  # MVAUs in the chain, and so many from one FIFO to the next
GOALS = {"tfc": 100.0, "chain": 140.0, "swg": 100.0}
BIT = datatype("BIPOLAR")


class Control(UnitComponent):
    """A unit without its datapath: what is valid and ready when, and nothing else."""

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        """None."""


def chain(units: int = UNITS, cut: int = CUT, size: int = 64, lanes: int = 4) -> DataflowGraph:
    """Layers of `size` neurons, `lanes` by `lanes`, with a FIFO of two words before every `cut` of them but the first."""
    weights = np.ones((size, size), dtype=np.int64)
    nodes: list[Node] = []
    for number in range(units):
        if number and number % cut == 0:
            nodes.append(FIFO(f"fifo_{number}", 2))
        nodes.append(MVAU(f"mvau_{number}", weights, BIT, thresholds=np.full((size, 1), size // 2)))
    givers = [None, *(Endpoint(node.id, "o") for node in nodes)]
    takers = [*(Endpoint(node.id, "i") for node in nodes), None]
    streams = [Stream(f"s_{k}", (size,), BIT, lanes, a, b) for k, (a, b) in enumerate(zip(givers, takers, strict=True))]
    return DataflowGraph(tuple(nodes), tuple(streams), InputContract(BIT)).verify()


def window(size: int = 32, channels: int = 8, kernel: int = 3) -> DataflowGraph:
    """One SWG over an image, all channels a transfer, padded to as many windows as pixels; its buffer as large as keeps its rate."""
    pad = kernel // 2
    node = SWG("swg", (kernel, kernel), pixels=(kernel - 1) * size + kernel, padding=(pad,) * 4, value=-1)
    taken = Stream("x", (size, size, channels), BIT, channels, sink=Endpoint("swg", "i"))
    given = Stream("y", (size, size, kernel * kernel * channels), BIT, channels, source=Endpoint("swg", "o"))
    return DataflowGraph((node,), (taken, given), InputContract(BIT)).verify()


class Pinned(Elaboratable):
    """A graph's one input and one output with a register between each signal and its pin, so that the clock rules every path inside."""

    def __init__(self, graph: DataflowGraph, *, control: bool) -> None:
        self.graph, self.control = graph, control
        (x,), (y,) = graph.inputs, graph.outputs
        self.pins: dict[str, Value] = {
            "x_payload": Signal(x.width), "x_valid": Signal(), "x_ready": Signal(),
            "y_payload": Signal(y.width), "y_valid": Signal(), "y_ready": Signal(),
        }  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        units = {}
        for node in self.graph.nodes:
            ports = self.graph.ports(node)
            bare = self.control and not isinstance(node, FIFO)  # a FIFO is its own control
            m.submodules[node.id] = units[node.id] = Control(node, ports) if bare else node.component(ports)
        for s in self.graph.streams:
            if s.source and s.sink:
                source, sink = units[s.source.node].port(s.source.port), units[s.sink.node].port(s.sink.port)
                m.d.comb += [sink.payload.eq(source.payload), sink.valid.eq(source.valid), source.ready.eq(sink.ready)]
            elif s.sink:
                sink = units[s.sink.node].port(s.sink.port)
                m.d.sync += [
                    sink.payload.eq(self.pins["x_payload"]),
                    sink.valid.eq(self.pins["x_valid"]),
                    self.pins["x_ready"].eq(sink.ready),
                ]
            elif s.source:
                source = units[s.source.node].port(s.source.port)
                m.d.sync += [self.pins["y_payload"].eq(source.payload), self.pins["y_valid"].eq(source.valid)]
                m.d.sync += source.ready.eq(self.pins["y_ready"])
        return m


def best(verilog: str, device: Device, clock_mhz: float, folder: Path) -> Routed:
    """The fastest of `SEEDS`; seconds of all."""

    def make() -> Found:
        cells = synthesis(verilog, device, folder)
        tries = [route(cells, device, folder, clock_mhz, seed) for seed in SEEDS]
        fastest = max(tries, key=lambda routed: routed.fmax_mhz)
        return asdict(replace(fastest, seconds=sum(routed.seconds for routed in tries)))

    parameters = {"device": asdict(device), "clock_mhz": clock_mhz, "seeds": SEEDS}
    sources = ("flows/families.py", "flows/synth.py", "flows/bench_hw/route.py")
    found = kept("routed", verilog, parameters, (YOSYS, device.program), sources, make)
    return Routed(**{**found, "cells": Cells(**found["cells"])})


def told(what: str, routed: Routed, goal: float | None) -> Iterator[Row]:
    """Clock, cells and time."""
    yield Row(f"{what}, best of {len(SEEDS)} seeds", routed.fmax_mhz, "MHz", goal=goal, note=routed.slowest_path)
    yield Row(what, routed.cells.luts, "LUT4")
    yield Row(f"{what}: place and route", routed.seconds, "s", note="when it was measured: the same design is not routed again")


def ice40(folder: Path) -> Iterator[Row]:
    """Control of a chain and one window generator, on HX8K."""
    for name, graph, control in (("chain", chain(), True), ("swg", window(), False)):
        pinned = Pinned(graph, control=control)
        routed = best(ports_to_verilog(pinned, TOP, pinned.pins), HX8K, GOALS[name], folder)
        what = f"HX8K, control of {UNITS} MVAUs" if control else "HX8K, SWG 3 x 3 on 32 x 32"
        yield from told(what, routed, GOALS[name])


def ecp5(model: Path, folder: Path) -> Iterator[Row]:
    """TFC as fast as in FINN's own folding, on ECP5, its layers in the stages that this clock needs: `arbonn lower --clock-mhz`."""
    target = Target(any_board("ulx3s-85f"), clock_mhz=GOALS["tfc"])
    lowered = lower(model, LowerOptions(input=CONTRACT, samples=1)).graph
    graph = clocked_for(fold(lowered, target.room(), TFC.interval), target).graph
    routed = best(to_verilog(Accelerator(graph), TOP), ECP5_85, GOALS["tfc"], folder)
    rate = routed.fmax_mhz * 1e6 / figures(graph, predict(graph, 8)).interval
    yield from told("ECP5, TFC", routed, GOALS["tfc"])
    yield Row("ECP5, TFC", rate, "frames/s")
    yield Row("ECP5, TFC", rate / routed.cells.luts, "frames/s/LUT")
