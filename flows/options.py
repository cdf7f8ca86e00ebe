"""The options of every stage, with their defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from arbonn.flows.progress import Report, silent
from arbonn.flows.store import Store

Family = Literal["xc7", "ice40", "ecp5", "gowin"]


@dataclass(frozen=True)
class LowerOptions:
    """How a file becomes a folded graph. `samples`: a .npy file of frames to compare on, else so many drawn ones.

    unrolled  weights as wiring, for that family of devices: no board, no folding.    unroll_seconds  most of each layer's search.
    pipeline  stages that every folded layer has more than the least; None: as many as the clock needs (`clock_mhz`, or the board's).
    primitives  its sums as cells of 7-series and UltraScale+.
    sparse    layers of two-valued weights as lists of connections, where these take less.
    """

    input: str | None = None
    input_table: Path | None = None
    outputs: Literal["both", "logits", "label"] = "both"
    samples: Path | int = 100
    max_samples: int | None = None
    board: str = "icebreaker"
    target_fps: float | None = None
    clock_mhz: float | None = None
    max_luts: int | None = None
    folding: Path | None = None
    runtime_weights: bool = False
    unrolled: Family | None = None
    unroll_seconds: float = 60.0
    pipeline: int | None = None
    primitives: bool = False
    sparse: bool = False


@dataclass(frozen=True)
class CheckOptions:
    """Frames through each simulator (None: all there are; 0: leave it out), the stalls on both ends, and how Verilator runs."""

    images: Path | None = None
    frames: int | None = None
    second_frames: int = 20
    stalls: tuple[float, ...] = (0.0, 0.3, 0.9)
    patterns: int = 1
    seed: int = 0
    engine: Literal["cocotb", "native", "amaranth"] = "cocotb"


@dataclass(frozen=True)
class BuildOptions:
    """The board, and the frames on which its bitstream is checked."""

    board: str = "icebreaker"
    netlist_frames: int = 2


@dataclass(frozen=True)
class InferOptions:
    """The serial port, the images (by default those of the graph's folder), and whether the answers are compared with the reference."""

    port: str
    images: Path | None = None
    frames: int | None = None
    check: bool = False
    board: str = "icebreaker"


@dataclass(frozen=True)
class Common:
    """What every stage takes beside its inputs: where results are linked (None: only kept), the store, and who is told how far it is.

    epoch  told after each epoch of a training: its number, their number, and the validation accuracy. What it raises stops the training;
           a later one with the same recipe goes on from there.
    """

    out: Path | None = None
    store: Store | None = None
    report: Report = silent
    epoch: Callable[[int, int, float], None] | None = None
