"""What a folding is to reach, from what the user asked: a folding file, a rate, or by default what the board's link carries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from arbonn.errors import FitError, InputError
from arbonn.flows.buffers import busy_cycles, size_buffers
from arbonn.flows.cmvm import PRIMITIVES
from arbonn.flows.fold import Fold, Room, fold, measure
from arbonn.flows.folding import apply_folding, folding_of, read_folding, unbuffered
from arbonn.flows.lowering.passes import run_passes
from arbonn.flows.lowering.passes.engines import Clocked, Engines
from arbonn.flows.lowering.passes.sparse import Sparse
from arbonn.flows.lowering.passes.unroll import Unroll
from arbonn.flows.memories import with_blocks, without_blocks
from arbonn.flows.options import LowerOptions
from arbonn.flows.progress import Report, silent
from arbonn.hw.accelerator import version_code
from arbonn.hw.boards import AmdBoard, Board, any_board
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.graph_file import digest
from arbonn.hw.shells import protocol

FILLED = 0.9  # of a device's LUTs and flip-flops: above, placement gets slow and the clock falls
SHELL = {"luts": 700, "ffs": 500, "brams": 2}  # left for the UART shell, rounded up


@dataclass(frozen=True)
class Target:
    """At most one of `folding` and `target_fps`; `clock_mhz` is the board's unless given."""

    board: Board | AmdBoard
    folding: Path | None = None
    target_fps: float | None = None
    max_luts: int | None = None
    clock_mhz: float | None = None

    def room(self) -> Room:
        """What the board leaves for the accelerator."""
        left = {name: self.board.resources[name] - SHELL[name] for name in ("luts", "ffs", "brams")}
        luts, ffs = int(FILLED * left["luts"]), int(FILLED * left["ffs"])
        costs = "xc7" if self.board.family == "xcup" else self.board.family  # UltraScale+ has 7-series' LUTs and block RAMs
        return Room(costs, min(luts, self.max_luts or luts), ffs, left["brams"])


def fold_for(graph: DataflowGraph, target: Target) -> Fold:
    """The folded graph. Raises FoldingError for a folding that does not divide, FitError for a rate or a size that cannot be reached."""
    asked = [name for name in ("folding", "target_fps") if getattr(target, name) is not None]
    if len(asked) > 1:
        raise InputError("--target-fps", found="a rate and a folding file", allowed="one of the two", fix="leave one out")
    if target.folding is not None:
        room, folded = target.room(), size_buffers(without_blocks(graph), read_folding(target.folding))
        found = measure(with_blocks(folded, room.target, room.luts, room.brams), room.target)
        if target.max_luts is not None and found.cost.luts > target.max_luts:
            raise FitError(
                str(target.folding), found=f"about {found.cost.luts:.0f} LUTs", allowed=f"{target.max_luts} LUTs (--max-luts)",
                fix="fold more: a smaller PE or SIMD",
            )  # fmt: skip
        return found
    if target.target_fps is None and isinstance(target.board, AmdBoard):
        return fastest(graph, target.room())  # memory gives and takes words as fast as they come
    rate = target.target_fps
    if rate is None:
        assert isinstance(target.board, Board)
        rate = link_fps(graph, target.board)  # a faster core would only wait for the line
    clock_mhz = target.clock_mhz or target.board.clock_mhz
    return fold(graph, target.room(), int(clock_mhz * 1e6 / rate), clock_mhz)


def engines_for(graph: DataflowGraph, options: LowerOptions) -> DataflowGraph:
    """The graph with its folded layers pipelined, and built of cells, as asked."""
    board = any_board(options.board)
    if options.primitives and board.family not in PRIMITIVES:
        raise InputError(
            "--primitives", found=f"board {board.name} ({board.family})", allowed=f"boards of {' and '.join(PRIMITIVES)} devices",
            fix="leave it out",
        )  # fmt: skip
    return run_passes(graph, (Engines(options.pipeline or 0, options.primitives, 6 if board.family in PRIMITIVES else 4),))


def clocked_for(found: Fold, target: Target) -> Fold:
    """The folded graph with its layers in as many stages as the clock needs, by the LUT levels between their registers."""
    levels = int(1000 / (target.clock_mhz or target.board.clock_mhz) / target.board.level_ns)
    graph = run_passes(found.graph, (Clocked(levels),))
    if all(new is old for new, old in zip(graph.nodes, found.graph.nodes, strict=True)):
        return found
    room = target.room()
    return measure(with_blocks(size_buffers(graph, folding_of(graph)), room.target, room.luts, room.brams), room.target)


def sparse_for(found: Fold, room: Room) -> Fold:
    """The folded graph with layers of two-valued weights as lists of connections, where these take less."""
    graph = run_passes(found.graph, (Sparse(room),))
    return measure(with_blocks(size_buffers(graph, folding_of(graph)), room.target, room.luts, room.brams), room.target)


def unrolled_for(graph: DataflowGraph, options: LowerOptions, report: Report = silent) -> Fold:
    """The graph with its weights as wiring: chains of fully connected layers take a frame a cycle. Raises FitError above `max_luts`."""
    assert options.unrolled is not None
    asked = {
        "--target-fps": options.target_fps, "--clock-mhz": options.clock_mhz, "--folding": options.folding,
        "--runtime-weights": options.runtime_weights or None, "--pipeline": options.pipeline,
        "--primitives": options.primitives or None, "--sparse": options.sparse or None,
    }  # fmt: skip
    for name, value in asked.items():
        if value is not None:
            raise InputError(name, found="--unrolled", allowed="one of the two", fix="leave one out")
    unroll = Unroll(options.unrolled, seconds=options.unroll_seconds, max_luts=options.max_luts, report=report)
    whole = run_passes(graph, (unroll,))
    found = measure(size_buffers(whole, folding_of(whole)), options.unrolled)
    if options.max_luts is not None and found.cost.luts > options.max_luts:
        raise FitError(
            "--unrolled", found=f"about {found.cost.luts:.0f} LUTs", allowed=f"{options.max_luts} LUTs (--max-luts)", fix="leave it out"
        )
    return found


def link_fps(graph: DataflowGraph, board: Board) -> float:
    """Frames a second that the board's serial line carries: each a request and an answer."""
    info = device_info(graph)
    request, answer = (len(protocol.encode(0, bytes(size))) for size in (info.request_bytes, info.result_bytes))
    return board.link_fps(request, answer)


def device_info(graph: DataflowGraph) -> protocol.Info:
    """What a device built from the graph says of itself."""
    x, _, logits = protocol.ends(graph)
    return protocol.Info.of(x, logits, version_code(), int(digest(graph)[:16], 16))


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
