"""The check with no simulator but Amaranth's own, in Python: for small designs, where neither Icarus nor a C++ compiler is.

It simulates what the Verilog is written from, not the Verilog itself; two-state; some thousands of cycles a second. It plays, watches and
writes what the HDL bench does (formats and rules: `arbonn.sim.harness`), so its records are read, compared and judged by the same code.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import amaranth
import numpy as np
from amaranth.hdl import Cat, ClockDomain, Module, Signal, Value
from amaranth.sim import Simulator

from arbonn.errors import CheckError, ToolError
from arbonn.files import write_text
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph, Stream
from arbonn.hw.packing import pack
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.unrolled_mvau import UnrolledMVAU
from arbonn.sim.bench import AFTER, Run
from arbonn.sim.harness import observed, record_words
from arbonn.sim.records import judge, prepare
from arbonn.sim.timing import predict
from arbonn.sim.trace import Stalls, Trace

NAME = "amaranth"
RESET = 4  # cycles of reset before cycle 0
LOOKED = 256  # cycles between two looks at the time limit


def simulates(graph: DataflowGraph) -> None:
    """Raises ToolError where `graph` holds what Amaranth's simulator knows nothing of."""
    for node in graph.nodes:
        if isinstance(node, MVAU | UnrolledMVAU) and node.primitives:
            found = f"{node.id} ({node.kind}) is made of a family's cells, which Amaranth does not simulate"
            raise ToolError(
                NAME, found=found, allowed="units of Amaranth's own logic", fix="a simulator of Verilog: `arbonn doctor` lists them"
            )


def frames_within(graph: DataflowGraph, cycles: int) -> int:
    """How many frames pass in so many cycles; 0 if not one does."""
    one, two = (predict(graph, frames).cycles for frames in (1, 2))
    return 0 if one > cycles else 1 + (cycles - one) // max(1, two - one)


@dataclass(frozen=True)
class AmaranthSimulator:
    """What `Bench` calls its simulator: nothing is to be found, it came with Amaranth."""

    name: str = NAME
    version: str = amaranth.__version__


@dataclass(frozen=True)
class AmaranthBench:
    """An accelerator on Amaranth's simulator, with the methods of `Bench`. `design` is the graph's accelerator with probes."""

    graph: DataflowGraph
    folder: Path
    design: Accelerator
    limit_s: float = 600.0
    simulator: AmaranthSimulator = AmaranthSimulator()

    def build(self) -> None:
        """There is nothing to compile before a run."""

    def run(self, name: str, inputs: Mapping[str, Integers], stalls: Stalls | None, cycles: int, expected: Trace | None = None) -> Run:
        """Runs exactly `cycles` cycles; with `expected`, compares. Raises CheckError after `limit_s` seconds."""
        folder = self.folder / "runs" / name
        prepare(folder, self.graph, inputs, stalls, cycles, observed(self.graph), expected)
        begin = time.perf_counter()
        bench = _Bench(self.graph, self.design, inputs, stalls, cycles, self.limit_s)
        bench.simulator().run()
        took = time.perf_counter() - begin
        for watch in bench.watches:
            watch.write(folder)
        write_text(folder / "violations", "".join(f"{cycle} {stream} {rule}\n" for cycle, stream, rule in bench.breaches))
        return Run(folder, cycles, judge(folder, took), took)

    def waves(self, name: str, inputs: Mapping[str, Integers], stalls: Stalls | None, cycle: int) -> Path:
        """Runs again from reset to just after `cycle`, with a dump; the path of the dump."""
        path = self.folder / "runs" / f"{name}_waves" / "waves.vcd"
        path.parent.mkdir(parents=True, exist_ok=True)
        simulator = _Bench(self.graph, self.design, inputs, stalls, cycle + AFTER, self.limit_s).simulator()
        with simulator.write_vcd(str(path)):
            simulator.run()
        return path


@dataclass
class _Source:
    """One input of the graph: valid = pending | go[t], pending until taken; while it is not valid its payload is drawn."""

    go: list[bool]
    payloads: list[int]
    width: int
    at: int = 0
    pending: bool = False

    def drive(self, cycle: int, noise: random.Random) -> tuple[int, int]:
        """Payload and valid in this cycle."""
        self.pending = self.pending or (self.at < len(self.payloads) and self.go[cycle])
        return (self.payloads[self.at] if self.pending else noise.getrandbits(self.width)), int(self.pending)

    def taken(self) -> None:
        self.pending, self.at = False, self.at + 1


@dataclass
class _Watch:
    """One stream's transfers, and what it held in the cycle before, if that was not taken."""

    stream: Stream
    payload: Value
    records: list[tuple[int, int]] = field(default_factory=list)
    held: int | None = None

    def look(self, cycle: int, payload: int | None, ready: bool) -> int | None:
        """Takes one cycle down (`payload`: None while not valid); the number of the rule that it breaks, if one."""
        broken = None if self.held is None or payload == self.held else 0 if payload is None else 1
        if payload is not None and ready:
            self.records.append((cycle, payload))
        self.held = None if ready else payload
        return broken

    def write(self, folder: Path) -> None:
        octets = 4 * record_words(self.stream.width)
        raw = b"".join((cycle | payload << 32).to_bytes(octets, "little") for cycle, payload in self.records)
        np.frombuffer(raw, "<u4").astype(np.uint32).tofile(folder / f"{self.stream.id}.rec")


class _Bench:
    """One run: the design between its sources and sinks. Ends are driven by one signal and seen by one: each access costs."""

    def __init__(
        self, graph: DataflowGraph, design: Accelerator, inputs: Mapping[str, Integers], stalls: Stalls | None, cycles: int, limit_s: float
    ) -> None:
        quiet = stalls or Stalls({}, 0.0, 0)
        self.cycles, self.limit_s = cycles, limit_s
        self.sources = {s.id: _Source(quiet.at(s.id, cycles).tolist(), pack(inputs[s.id], s), s.width) for s in graph.inputs}
        self.sinks = [quiet.at(s.id, cycles).tolist() for s in graph.outputs]
        self.breaches: list[tuple[int, int, int]] = []
        self.module, self.reset = Module(), Signal()
        self.module.domains.sync = domain = ClockDomain()
        self.module.submodules.dut = design
        self.module.d.comb += domain.rst.eq(self.reset)
        driven = [part for s in graph.inputs for part in (getattr(design, s.id).payload, getattr(design, s.id).valid)]
        driven += [getattr(design, s.id).ready for s in graph.outputs]
        self.drive = Signal(sum(len(Value.cast(part)) for part in driven))
        self.module.d.comb += Cat(driven).eq(self.drive)
        probes = [(s, getattr(design, f"probe_{s.id}")) for s in observed(graph)]
        self.watches = [_Watch(s, self._named(f"{s.id}_payload", probe.payload)) for s, probe in probes]
        self.flags = self._named("flags", Cat([Cat(probe.valid, probe.ready) for _, probe in probes]))

    def _named(self, name: str, value: Any) -> Signal:
        signal = Signal(len(Value.cast(value)), name=name)
        self.module.d.comb += signal.eq(value)
        return signal

    def simulator(self) -> Simulator:
        made = Simulator(self.module)
        made.add_clock(1e-8)
        made.add_testbench(self._play)
        return made

    async def _play(self, context: Any) -> None:
        noise, begin = random.Random(1), time.perf_counter()
        context.set(self.reset, 1)
        for _ in range(RESET):  # `repeat` would break off at a reset
            await context.tick()
        context.set(self.reset, 0)
        for cycle in range(self.cycles):
            context.set(self.drive, self._word(cycle, noise))
            flags = context.get(self.flags)
            for number, watch in enumerate(self.watches):
                valid, ready = flags >> 2 * number & 1, bool(flags >> 2 * number & 2)
                if valid or watch.held is not None:
                    rule = watch.look(cycle, context.get(watch.payload) if valid else None, ready)
                    if rule is not None:
                        self.breaches.append((cycle, number, rule))
                    if valid and ready and watch.stream.source is None:
                        self.sources[watch.stream.id].taken()
            if cycle % LOOKED == 0 and time.perf_counter() - begin > self.limit_s:
                found = f"did not finish within {self.limit_s:g} s"
                raise CheckError(NAME, found=found, fix="fewer frames, or a simulator that is compiled: verilator")
            await context.tick()

    def _word(self, cycle: int, noise: random.Random) -> int:
        """All that is driven in this cycle, in the order of the graph's inputs, then outputs."""
        word, at = 0, 0
        for source in self.sources.values():
            payload, valid = source.drive(cycle, noise)
            word |= (payload | valid << source.width) << at
            at += source.width + 1
        for sink in self.sinks:
            word |= int(sink[cycle]) << at
            at += 1
        return word
