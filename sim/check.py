"""The check of a built graph: its RTL on each simulator, under each stall, against the reference's bits and the prediction's cycles.

The fast simulator takes every frame, the four-state one a few: it sees what a two-state simulator cannot (X in what is transferred).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from arbonn.errors import CheckError, ToolError
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.cmvm.verilog import with_cells
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.verilog import to_verilog
from arbonn.sim import amaranth_bench, runner
from arbonn.sim.amaranth_bench import AmaranthBench
from arbonn.sim.bench import MARGIN, Bench, expect
from arbonn.sim.harness import ACCELERATOR
from arbonn.sim.native import NativeBench
from arbonn.sim.records import Difference
from arbonn.sim.timing import Figures, figures, predict
from arbonn.sim.trace import Stalls, draw_stalls

Progress = Callable[[float, str], None]
Name = Literal["verilator", "icarus", "amaranth"]
AnyBench = Bench | NativeBench | AmaranthBench


@dataclass(frozen=True)
class CheckOptions:
    """What to run. `frames`: at most so many, by simulator (None: all). `required`: simulators whose absence is an error, not a skip.

    `engine`: how Verilator runs, with cocotb or as a bare C++ loop (`arbonn.sim.native`), which suits whole test sets.
    """

    frames: Mapping[Name, int | None] = field(default_factory=lambda: {"verilator": None, "icarus": 20})
    stalls: tuple[float, ...] = (0.0, 0.3, 0.9)
    patterns: int = 1  # drawn for each stall probability other than 0
    seed: int = 0
    required: tuple[Name, ...] = ()
    limit_s: float = 1800.0  # for each build and each run
    engine: Literal["cocotb", "native"] = "cocotb"


@dataclass(frozen=True)
class StallPattern:
    """One drawn pattern; `draw_stalls(graph, probability, seed, cycles)` gives it again."""

    simulator: str
    probability: float
    seed: int
    cycles: int


@dataclass(frozen=True)
class SimulatorOutcome:
    """One simulator's share; `skipped` holds the reason if it was not run. `cycles_per_s` counts simulation only, no start and no build."""

    name: str
    version: str = ""
    frames: int = 0
    runs: int = 0
    cycles: int = 0
    cycles_per_s: float | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class FirstDifference:
    """The first difference of the first run that differs, and where its waves are (None if even the dump failed)."""

    simulator: str
    stalls: StallPattern
    difference: Difference
    waves: Path | None


@dataclass(frozen=True)
class CheckOutcome:
    """Counts over all runs; `frames` is the most that one simulator ran. `predicted` and `seen` are the figures without stalls."""

    frames: int
    transfers: int
    bit_mismatches: int
    cycle_mismatches: int
    violations: int
    stall_patterns: tuple[StallPattern, ...]
    simulators: tuple[SimulatorOutcome, ...]
    first_difference: FirstDifference | None
    predicted: Figures | None
    seen: Figures | None

    @property
    def equal(self) -> bool | None:
        """Whether all was equal; None if there was no simulator to tell."""
        return self.first_difference is None if self.frames else None


def check(
    graph: DataflowGraph,
    inputs: Mapping[str, Integers],
    folder: Path,
    options: CheckOptions | None = None,
    on_progress: Progress | None = None,
) -> CheckOutcome:
    """Runs everything that `options` asks for, in `folder`; inputs are codes (frames, *shape) by stream id.

    Raises ToolError for a required simulator that is missing, CheckError for a predicted deadlock or a simulator that does not end.
    """
    job = _Check(graph, inputs, folder, options or CheckOptions(), on_progress or (lambda share, text: None))
    shares = [job.simulate(name) for name in job.options.frames]
    frames = max(share.frames for share in shares)
    transfers, bits, cycles, violations = job.counts
    return CheckOutcome(frames, transfers, bits, cycles, violations, tuple(job.patterns), tuple(shares), job.first, job.predicted, job.seen)


class _Check:
    """One check as it goes on: what it was given, and what it has counted."""

    def __init__(
        self, graph: DataflowGraph, inputs: Mapping[str, Integers], folder: Path, options: CheckOptions, progress: Progress
    ) -> None:
        self.graph, self.inputs, self.folder, self.options, self.progress = graph, inputs, folder, options, progress
        self.counts = [0, 0, 0, 0]  # transfers, bit mismatches, cycle mismatches, violations
        self.patterns: list[StallPattern] = []
        self.first: FirstDifference | None = None
        self.predicted: Figures | None = None
        self.seen: Figures | None = None
        seeds = range(options.seed, options.seed + options.patterns)
        self.settings = [(p, seed) for p in options.stalls for seed in (seeds if p else [options.seed])]
        self.steps = len(options.frames) * (len(self.settings) + 1)
        self.done = 0

    @cached_property
    def verilog(self) -> str:
        return with_cells(to_verilog(Accelerator(self.graph, probes=True), ACCELERATOR))

    def _bench(self, name: Name) -> AnyBench:
        """Raises ToolError without that simulator."""
        folder, limit_s = self.folder / name, self.options.limit_s
        if name == "amaranth":
            amaranth_bench.simulates(self.graph)
            return AmaranthBench(self.graph, folder, Accelerator(self.graph, probes=True), limit_s)
        kind = NativeBench if name == "verilator" and self.options.engine == "native" else Bench
        return kind(self.graph, runner.find(name), folder, self.verilog, limit_s=limit_s)

    def simulate(self, name: Name) -> SimulatorOutcome:
        """All runs on one simulator."""
        try:
            bench = self._bench(name)
        except ToolError as error:
            if name in self.options.required:
                raise
            self.done += len(self.settings) + 1
            return SimulatorOutcome(name, skipped=f"{error.found}; to get it: {error.fix}")
        inputs = {stream: values[: self.options.frames[name]] for stream, values in self.inputs.items()}
        self._step(f"{name}: compiling")
        bench.build()
        cycles, seconds = 0, 0.0
        for probability, seed in self.settings:
            self._step(f"{name}: stall {probability:g}, seed {seed}")
            ran, took = self._run(bench, inputs, probability, seed)
            cycles, seconds = cycles + ran, seconds + took
        frames = len(inputs[self.graph.inputs[0].id])
        return SimulatorOutcome(name, bench.simulator.version, frames, len(self.settings), cycles, cycles / seconds if seconds else None)

    def _run(self, bench: AnyBench, inputs: Mapping[str, Integers], probability: float, seed: int) -> tuple[int, float]:
        stalls = draw_to_the_end(self.graph, len(inputs[self.graph.inputs[0].id]), probability, seed)
        expected = expect(self.graph, inputs, stalls)
        drawn = max((len(go) for go in stalls.go.values()), default=0)
        pattern = StallPattern(bench.simulator.name, probability, seed, drawn)
        self.patterns.append(pattern)
        name = f"stall_{probability:g}_seed_{seed}"
        run = bench.run(name, inputs, stalls, expected.cycles + MARGIN, expected)
        compared = run.compared
        assert compared is not None, "a run with an expectation is compared"
        found = (compared.transfers, compared.bit_mismatches, compared.cycle_mismatches, compared.violations)
        self.counts = [a + b for a, b in zip(self.counts, found, strict=True)]
        if compared.first is not None and self.first is None:
            self.first = FirstDifference(
                bench.simulator.name, pattern, compared.first, self._waves(bench, name, inputs, stalls, compared.first)
            )
        if probability == 0 and self.predicted is None:
            seen = run.seen()
            self.predicted = figures(self.graph, expected)
            # With transfers missing or left over there is no frame to time.
            if all(len(seen.transfers[s.id]) == len(expected.transfers[s.id]) for s in (*self.graph.inputs, *self.graph.outputs)):
                self.seen = figures(self.graph, seen)
        return run.cycles, run.simulation_s

    def _waves(self, bench: AnyBench, name: str, inputs: Mapping[str, Integers], stalls: Stalls, first: Difference) -> Path | None:
        try:
            return bench.waves(name, inputs, stalls, first.cycle)
        except (CheckError, ToolError):
            return None  # the difference is the result; a dump that fails must not hide it

    def _step(self, text: str) -> None:
        self.progress(self.done / self.steps, text)
        self.done += 1


def draw_to_the_end(graph: DataflowGraph, frames: int, probability: float, seed: int) -> Stalls:
    """Stalls that last until the last of `frames` frames has passed; no pattern at all for probability 0."""
    assert 0 <= probability < 1, "an end that never goes never ends"
    stalls, drawn = Stalls({}, probability, seed), 0
    while probability and drawn < (cycles := predict(graph, frames, stalls).cycles):
        drawn = 2 * cycles
        stalls = draw_stalls(graph, probability, seed, drawn)
    return stalls
