"""Runs the accelerator's RTL and compares it with what must be seen: every bit of every transfer, every cycle, on every stream.

expect   the reference's payloads at the timing engine's cycles
Bench    one design on one simulator, compiled once; each run plays other frames and stalls in a folder of its own
compare  where the two differ, and in how many transfers
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from arbonn.errors import CheckError
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.cmvm.verilog import with_cells
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.packing import pack
from arbonn.hw.verilog import to_verilog
from arbonn.sim import runner
from arbonn.sim.harness import ACCELERATOR, TOP, bench_verilog, observed
from arbonn.sim.records import RESULT, Comparison, prepare, read_records, read_result
from arbonn.sim.reference import execute
from arbonn.sim.timing import predict
from arbonn.sim.trace import Stalls, Trace

MARGIN = 64  # cycles after the last predicted transfer, in which none may come
BEFORE, AFTER = 200, 20  # cycles of waves around the first difference


def expect(graph: DataflowGraph, inputs: Mapping[str, Integers], stalls: Stalls | None = None) -> Trace:
    """What must be seen on every stream, in the order of `observed`. Raises CheckError on deadlock."""
    values = execute(graph, inputs)
    frames = len(values[graph.inputs[0].id])
    trace = predict(graph, frames, stalls)
    streams = observed(graph)
    return replace(trace, transfers={s.id: trace.transfers[s.id] for s in streams}, payloads={s.id: pack(values[s.id], s) for s in streams})


@dataclass(frozen=True)
class Run:
    """A finished run: the cocotb test's comparison (None without expectation) and the seconds that simulation alone took."""

    folder: Path
    cycles: int
    compared: Comparison | None
    simulation_s: float

    def seen(self) -> Trace:
        """All that was recorded."""
        return read_records(self.folder)


@dataclass(frozen=True)
class Bench:
    """An accelerator's RTL on one simulator. `verilog` may be given to test the bench itself, or to generate it once for several.

    Folders: `folder/builds` keeps what is compiled (kept between runs, found again by its content), `folder/runs/<name>` each run.
    """

    graph: DataflowGraph
    simulator: runner.Simulator
    folder: Path
    verilog: str
    probes: bool = True
    limit_s: float = 600.0

    def build(self, *, waves: bool = False) -> Path:
        """Compiles, unless done before."""
        sources = {"accelerator.v": self.verilog, "bench.v": bench_verilog(self.graph, probes=self.probes)}
        return runner.build(self.simulator, sources, TOP, "done", self.folder / "builds", waves=waves, limit_s=self.limit_s)

    def run(self, name: str, inputs: Mapping[str, Integers], stalls: Stalls | None, cycles: int, expected: Trace | None = None) -> Run:
        """Runs exactly `cycles` cycles. With `expected`, the cocotb test compares too."""
        return self._run(self.folder / "runs" / name, inputs, stalls, cycles, expected)

    def waves(self, name: str, inputs: Mapping[str, Integers], stalls: Stalls | None, cycle: int) -> Path:
        """Runs again up to just after `cycle`, with a dump of the cycles around it; the path of the dump."""
        folder = self.folder / "runs" / f"{name}_waves"
        self._run(folder, inputs, stalls, cycle + AFTER, None, dump_from=max(0, cycle - BEFORE))
        if self.simulator.name == "icarus":
            return folder / "waves.fst"  # it adds the suffix itself
        return (folder / "waves").rename(folder / "waves.vcd")

    def _run(
        self, folder: Path, inputs: Mapping[str, Integers], stalls: Stalls | None, cycles: int, expected: Trace | None, **plusargs: int
    ) -> Run:
        assert cycles < 1 << 31, "the bench counts cycles in 32 bits"
        built = self.build(waves=bool(plusargs))
        prepare(folder, self.graph, inputs, stalls, cycles, observed(self.graph, probes=self.probes), expected)
        test = "arbonn.sim.bench_test"
        runner.run(self.simulator, built, TOP, test, folder, {"cycles": cycles, **plusargs}, limit_s=self.limit_s)
        if not (folder / RESULT).is_file():
            raise CheckError(self.simulator.name, found=f"the cocotb test ended early; see {folder / 'child.log'}")
        compared, simulation_s = read_result(folder)
        return Run(folder, cycles, compared, simulation_s)


def run_rtl(
    graph: DataflowGraph,
    inputs: Mapping[str, Integers],
    stalls: Stalls | None,
    simulator: runner.Name,
    folder: Path,
    *,
    probes: bool = True,
) -> Trace:
    """What the RTL of `graph` shows, on every stream, from reset to `MARGIN` cycles after the last predicted transfer.

    Raises ToolError without the simulator, CheckError on a predicted deadlock or if the simulator breaks off or takes too long.
    """
    expected = expect(graph, inputs, stalls)
    bench = Bench(graph, runner.find(simulator), folder, with_cells(to_verilog(Accelerator(graph, probes), ACCELERATOR)), probes)
    return bench.run("rtl", inputs, stalls, expected.cycles + MARGIN, expected).seen()
