"""One image's way through the accelerator: bits, popcounts, thresholds, bits again, layer by layer, beside the cycles they leave in.

What is shown is what the reference computes and the timing engine predicts; both equal the hardware (`arbonn check`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph, Node, Ports
from arbonn.hw.units.dwc import DWC
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.thresholding import Thresholding
from arbonn.hw.units.unrolled_mvau import UnrolledMVAU
from arbonn.hw.units.vvau import VVAU
from arbonn.sim import reference
from arbonn.sim.timing import predict

ROW = 64  # values a line


@dataclass(frozen=True, eq=False)
class Step:
    """One unit's share of the way, for one frame.

    values      what leaves on stream `stream`, (*shape).    first_cycle, last_cycle  of its transfers.
    sums        what was compared with the thresholds, (*shape): popcounts, or dot products; None for a unit that compares nothing.
    thresholds  (channels, T), rising.
    """

    unit: str
    kind: str
    origin: tuple[str, ...]
    stream: str
    dtype: str
    values: Integers
    first_cycle: int
    last_cycle: int
    sums: Integers | None = None
    sums_are: str = ""
    thresholds: Integers | None = None

    def as_data(self) -> dict[str, object]:
        """The step as JSON data: values flat, channel fastest."""
        return {
            "unit": self.unit, "kind": self.kind, "origin": list(self.origin), "stream": self.stream, "dtype": self.dtype,
            "shape": list(self.values.shape), "values": self.values.reshape(-1).tolist(),
            "sums": None if self.sums is None else self.sums.reshape(-1).tolist(), "sums_are": self.sums_are or None,
            "thresholds": None if self.thresholds is None else self.thresholds.tolist(),
            "first_cycle": self.first_cycle, "last_cycle": self.last_cycle,
        }  # fmt: skip


def follow(graph: DataflowGraph, frame: Integers) -> list[Step]:
    """The way of one frame (*shape) of codes: the input first, then a step for every stream that a unit gives, in the graph's order.

    Buffers (FIFO) and changes of width (DWC) alter nothing and are left out. Cycles are those of a single frame out of reset, sent
    without a pause and taken at once. Raises InputError for a frame that does not fit the graph.
    """
    source = graph.inputs[0]
    values = reference.execute(graph, {source.id: frame[None]})
    times = predict(graph, 1).transfers
    taken = times[source.id]
    steps = [Step("input", "input", (), source.id, str(source.dtype), frame, int(taken[0]), int(taken[-1]))]
    for node in graph.ordered():
        if isinstance(node, FIFO | DWC):
            continue
        ports = graph.ports(node)
        for port in node.gives:
            stream = ports[port]
            left = times[stream.id]
            step = Step(
                node.id, node.kind, node.origin, stream.id, str(stream.dtype), values[stream.id][0], int(left[0]), int(left[-1])
            )  # fmt: skip
            steps.append(_with_sums(step, node, ports, values))
    return steps


def _with_sums(step: Step, node: Node, ports: Ports, values: dict[str, Integers]) -> Step:
    """The step with what its unit compared with thresholds, where it did."""
    thresholds = getattr(node, "thresholds", None)
    if thresholds is None:
        return step
    given = {port: values[ports[port].id] for port in node.takes}
    if isinstance(node, UnrolledMVAU):
        node = node.folded  # the same values, and its sums are numbers, not nets
    if isinstance(node, MVAU | VVAU):
        sums = replace(node, thresholds=None).evaluate(given, ports)["o"][0]
        return replace(step, sums=sums, sums_are="popcounts" if node.domain == "popcount" else "dot products", thresholds=thresholds)
    if isinstance(node, Thresholding):
        return replace(step, sums=given["i"][0], sums_are="sums", thresholds=thresholds)
    return step


def picture(image: Integers) -> list[str]:
    """An image (H, W) or (H, W, C), or a vector, as lines of text: darker blocks for greater values, by the mean over channels."""
    flat = (image.mean(axis=-1) if image.ndim == 3 else image).astype(np.float64).reshape(-1, row_length(image))
    span = flat.max() - flat.min()
    shades = " ░▒▓█"
    level = np.zeros(flat.shape, int) if span == 0 else ((flat - flat.min()) / span * (len(shades) - 1)).round().astype(int)
    return ["".join(shades[n] * 2 for n in row) for row in level]


def row_length(values: Integers) -> int:
    """Values a line: an image's width; of a long vector that is a square number, as of a flat image, its root; else 64."""
    if values.ndim > 1:
        return int(values.shape[1])
    side = round(values.size**0.5)
    return side if side * side == values.size and values.size >= ROW else min(ROW, values.size)


def bit_rows(values: Integers, dtype: str) -> list[str]:
    """Values as lines: one character each for bits (█ for 1), decimal numbers for all else."""
    flat, width = values.reshape(-1), row_length(values) if values.ndim == 1 and values.size > ROW else ROW
    if dtype in ("BIPOLAR", "BINARY"):
        text = "".join("█" if n > 0 else "·" for n in flat)
        return [text[k : k + width] for k in range(0, len(text), width)]
    return [" ".join(str(int(n)) for n in flat[k : k + ROW // 4]) for k in range(0, len(flat), ROW // 4)]
