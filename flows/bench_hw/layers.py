"""Layers of constant weights, y = b @ W: ours and da4ml's on the same matrices through the same synthesis for 7-series."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Literal

import numpy as np

from arbonn.flows.bench.rows import Row, timed
from arbonn.flows.bench_hw import da4ml
from arbonn.flows.bench_hw.kept import circuit_cells
from arbonn.flows.cell_counts import CellCounts
from arbonn.hw.cmvm.layer import build
from arbonn.hw.cmvm.verilog import to_verilog
from arbonn.hw.datatypes import Integers


@dataclass(frozen=True)
class Case:
    """A matrix (size, size) from seed 0, ±1 or with `density` of it not 0; whole sums or bits y >= 0; a bound on LUT levels.

    luts, phys, deepest, seconds   goals: at most so many LUT cells, cells with their carry positions, LUT levels, seconds of search.
    beside   whether da4ml does it too.    least  goal of our LUTs by da4ml's.
    """

    size: int
    density: float = 1.0
    outputs: Literal["sum", "bit"] = "sum"
    levels: int | None = None
    luts: float | None = None
    phys: float | None = None
    deepest: float | None = None
    seconds: float = 60.0
    beside: bool = True
    least: float | None = None

    def __str__(self) -> str:
        sparse = "" if self.density == 1 else f", density {self.density:g}"
        outputs = ", bits" if self.outputs == "bit" else ""
        return f"{self.size} x {self.size}{sparse}{outputs}{'' if self.levels is None else f', {self.levels} levels'}"

    def weights(self) -> Integers:
        random = np.random.default_rng(0)
        weights = random.choice([-1, 1], size=(self.size, self.size))
        return weights if self.density == 1 else weights * (random.random(weights.shape) < self.density)


CASES = (
    Case(64, luts=1150, phys=1250, deepest=10),
    Case(64, density=0.1, luts=280),
    Case(64, outputs="bit", luts=1050),
    Case(64, levels=6, luts=1785, deepest=6),
    Case(128, luts=4600, deepest=12, least=0.52),
    Case(128, levels=10, luts=4600, deepest=10, beside=False),
    Case(256, luts=0.3 * 256 * 256, seconds=120.0, beside=False),
)


@cache
def ours(case: Case) -> tuple[Row, CellCounts]:
    """Processor seconds of the search, the check against the matrix with it; and the cells. Measured once in a run."""
    thresholds = np.zeros(case.size, dtype=np.int64) if case.outputs == "bit" else None
    build(np.ones((8, 1), dtype=np.int64), moves=0)  # compiles, or loads what was compiled
    search = partial(build, case.weights(), thresholds, levels=case.levels, seconds=case.seconds)
    row, layer = timed(f"{case}: search", search, case.seconds)
    assert layer is not None
    text = to_verilog(layer.netlist, layer.ranges, layer.one_bit, "layer", primitives=True)
    return row, circuit_cells(text, "layer")


def rows() -> Iterator[Row]:
    """Ours against the goals."""
    for case in CASES:
        search, cells = ours(case)
        yield Row(str(case), cells.luts, "LUT", goal=case.luts, less=True)
        yield Row(str(case), cells.phys, "phys", goal=case.phys, less=True)
        yield Row(str(case), cells.carry, "CARRY4")
        yield Row(str(case), cells.levels, "levels", goal=case.deepest, less=True)
        yield search


def beside_da4ml() -> Iterator[Row]:
    """da4ml on the same matrices, and ours by its figures. Raises ToolError where it is not installed."""
    da4ml.require()
    for case in (case for case in CASES if case.beside):
        with tempfile.TemporaryDirectory() as folder:
            solve = partial(da4ml.solve, case.weights(), Path(folder), shallow=case.levels is not None)
            search, solved = timed(f"{case}: da4ml's search", solve, goal=float("inf"))
            assert solved is not None
        theirs = da4ml.cells(solved.verilog, solved.signs if case.outputs == "bit" else ())
        _, cells = ours(case)
        what = "da4ml" + (", cut down to its sign bits" if case.outputs == "bit" else "")
        yield Row(f"{case}: da4ml", theirs.luts, "LUT")
        yield Row(f"{case}: da4ml", theirs.phys, "phys")
        yield Row(f"{case}: da4ml", theirs.carry, "CARRY4")
        yield Row(f"{case}: da4ml", theirs.levels, "levels")
        yield Row(search.what, search.seen, search.unit)
        yield Row(f"{case}: ours", cells.luts, "LUT", cells.luts / theirs.luts, what, case.least, less=True)
        yield Row(f"{case}: ours", cells.phys, "phys", cells.phys / theirs.phys, what)
