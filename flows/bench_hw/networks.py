"""Whole folded networks on 7-series, beside FINN's own estimates for them: quoted, since its builder needs Vivado."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from arbonn.flows.bench.cnv import untrained
from arbonn.flows.bench.rows import Row
from arbonn.flows.bench_hw.kept import cells
from arbonn.flows.fold import Fold, Room, fold
from arbonn.flows.lowering.lower import LowerOptions, lower
from arbonn.flows.lowering.passes import run_passes
from arbonn.flows.lowering.passes.engines import Engines
from arbonn.hw.accelerator import Accelerator
from arbonn.sim.timing import figures, predict

LEAST = 0.6  # of FINN's LUTs


@dataclass(frozen=True)
class Estimate:
    """What finn-plus 1.6.1 estimates for a network whose slowest layer takes `interval` cycles a frame; no synthesis, no Vivado."""

    network: str
    interval: int
    luts: int
    brams: int

    def room(self) -> Room:
        """A device of as many block RAMs as FINN's folding takes, and of the LUTs that are our goal."""
        return Room("xc7", int(LEAST * self.luts), 2 * self.luts, self.brams)


CONTRACT = "uint8,scale=1/255"
TFC = Estimate("TFC 1W1A", 196, 4771, 14)
CNV = Estimate("CNV 1W1A", 66_236, 15_125, 107)
PUBLISHED = {("FINN 2017, SFC-max", "LUT"): 91_131, ("FINN 2017, SFC-max", "frames/s"): 12.3e6, ("FINN 2017, CNV-max", "frames/s"): 21.9e3}


def folded(model: Path, estimate: Estimate) -> Fold:
    """The cheapest folding as fast as FINN's, of sums for 7-series."""
    graph = run_passes(lower(model, LowerOptions(input=CONTRACT, samples=1)).graph, (Engines(lut_inputs=6),))
    return fold(graph, estimate.room(), estimate.interval)


def beside(estimate: Estimate, model: Path) -> Iterator[Row]:
    """The accelerator alone, without a shell: FINN's estimate has none either."""
    found, name = folded(model, estimate), f"{estimate.network}, {estimate.interval:,} cycles"
    taken = cells(Accelerator(found.graph), "xc7")
    yield Row(name, taken.luts, "LUT", taken.luts / estimate.luts, f"FINN's estimate of {estimate.luts:,}", LEAST, less=True)
    yield Row(name, taken.brams, "BRAM18", goal=estimate.brams, less=True)
    yield Row(name, taken.ffs, "FF")
    times = figures(found.graph, predict(found.graph, 8))
    yield Row(name, float(times.interval), "cycles a frame", goal=estimate.interval, less=True)


def cnv(folder: Path) -> Iterator[Row]:
    """CNV with random weights: those of its size are in block RAM, whatever they are."""
    model = folder / "cnv.onnx"
    untrained(model)
    yield from beside(CNV, model)


def published() -> Iterator[Row]:
    """What FINN's paper says; not measured here."""
    for (what, unit), figure in PUBLISHED.items():
        yield Row(f"published: {what}", figure, unit)
