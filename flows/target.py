"""What a folding is to reach, from what the user asked: a folding file, a rate, a limit on LUTs, or simply the fastest that fits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from arbonn.errors import FitError, InputError
from arbonn.flows.buffers import busy_cycles, size_buffers
from arbonn.flows.fold import Fold, Room, fold, measure
from arbonn.flows.folding import apply_folding, read_folding, unbuffered
from arbonn.hw.boards import Board
from arbonn.hw.graph import DataflowGraph

FILLED = 0.9  # of a device's LUTs and flip-flops: above, placement gets slow and the clock falls
SHELL = {"luts": 700, "ffs": 500, "brams": 2}  # left for the UART shell, rounded up


@dataclass(frozen=True)
class Target:
    """At most one of `folding`, `target_fps`, `max_luts`; `clock_mhz` is the board's unless given."""

    board: Board
    folding: Path | None = None
    target_fps: float | None = None
    max_luts: int | None = None
    clock_mhz: float | None = None

    def room(self) -> Room:
        """What the board leaves for the accelerator."""
        left = {name: self.board.resources[name] - SHELL[name] for name in ("luts", "ffs", "brams")}
        luts, ffs = int(FILLED * left["luts"]), int(FILLED * left["ffs"])
        return Room(self.board.family, min(luts, self.max_luts or luts), ffs, left["brams"])


def fold_for(graph: DataflowGraph, target: Target) -> Fold:
    """The folded graph. Raises FoldingError for a folding that does not divide, FitError for a rate or a size that cannot be reached."""
    asked = [name for name in ("folding", "target_fps") if getattr(target, name) is not None]
    if len(asked) > 1:
        raise InputError("--target-fps", found="a rate and a folding file", allowed="one of the two", fix="leave one out")
    if target.folding is not None:
        return measure(size_buffers(graph, read_folding(target.folding)), target.board.family)
    if target.target_fps is not None:
        cycles = int((target.clock_mhz or target.board.clock_mhz) * 1e6 / target.target_fps)
        return fold(graph, target.room(), cycles)
    return fastest(graph, target.room())


def fastest(graph: DataflowGraph, room: Room) -> Fold:
    """The fastest folding that fits, by bisection on the cycles a frame."""
    slow = max(busy_cycles(apply_folding(unbuffered(graph), {})).values())
    best, low, high = fold(graph, room, slow), 1, slow
    while low < (high := min(high, best.interval)):
        middle = (low + high) // 2
        try:
            best = fold(graph, room, middle)
        except FitError:
            low = middle + 1
    return best
