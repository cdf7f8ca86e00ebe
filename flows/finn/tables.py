"""Tables in FINN's dialect: as thresholds that count, or as a line that is rounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arbonn.flows.lowering.weights import matrix_of
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph, Stream
from arbonn.hw.units.dwc import DWC
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.vvau import VVAU

MOST = 255  # thresholds a channel
SEARCHES = 80  # halvings of the interval in which a line's slope is looked for


@dataclass(frozen=True, eq=False)
class Steps:
    """value[c] = starts[c] + signs[c] * number of thresholds[c] that are reached; thresholds (C, T) rise."""

    thresholds: Integers
    signs: Integers
    starts: Integers


def reachable(graph: DataflowGraph, node: Lookup, i: Stream) -> tuple[Integers, NDArray[np.bool_]]:
    """The table (C, R), and where each row's accumulator can be; elsewhere, where a table may hold anything, the nearest value."""
    table = np.broadcast_to(node.table, (i.shape[-1], node.table.shape[1]))
    stream = i
    while stream.source is not None:
        unit = graph.node(stream.source.node)
        if isinstance(unit, MVAU | VVAU):
            if unit.thresholds is not None:
                break
            taken = graph.ports(unit)["i"].dtype
            low, high = matrix_of(unit).accumulator_range(taken.low, taken.high, taken)
            places = np.arange(table.shape[1])[None].clip((low - node.low)[:, None], (high - node.low)[:, None])
            return np.take_along_axis(table, places, axis=1), places == np.arange(table.shape[1])
        if not isinstance(unit, FIFO | DWC):
            break
        stream = graph.ports(unit)["i"]
    return table, np.ones(table.shape, np.bool_)


def steps_of(table: Integers, low: int) -> Steps | str:
    """A table (C, R) over low .. as thresholds, or why it is none."""
    rises, falls = (table[:, 1:] >= table[:, :-1]).all(axis=1), (table[:, 1:] <= table[:, :-1]).all(axis=1)
    if not (rises | falls).all():
        return f"has a table that neither rises nor falls in channel {int(np.argmin(rises | falls))}"
    signs = np.where(rises, 1, -1)
    # Rows that rise start from the least value of all, so that one `out_bias` serves them.
    starts = np.where(rises, table[rises].min(initial=int(table.max())), table[:, 0])
    counts = signs[:, None] * (table - starts[:, None])
    most = max(1, int(counts.max()))
    if most > MOST:
        return f"has a table of {most} steps ({MOST} allowed) that is no rounded line either"
    wanted = np.arange(1, most + 1)
    return Steps(low + np.stack([np.searchsorted(row, wanted) for row in counts]), signs, starts)


def fitted(table: Integers, reached: NDArray[np.bool_], low: int) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """(gain, bias) of each row with round(gain * x + bias) = table in float32, at every x that is reached; None without such a line."""
    x = low + np.arange(table.shape[1], dtype=np.float64)
    values = table.astype(np.float64)
    first, last = reached.argmax(axis=1), table.shape[1] - 1 - reached[:, ::-1].argmax(axis=1)
    rows, span = np.arange(len(table)), np.maximum(1, last - first)
    ends = (values[rows, last] - values[rows, first]) / span
    least, most = ends - 1.0 / span, ends + 1.0 / span

    def room(gain: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rest = values - gain[:, None] * x
        return np.where(reached, rest, -np.inf).max(axis=1), np.where(reached, rest, np.inf).min(axis=1)

    for _ in range(SEARCHES):  # what lies between the lines above and below all points is a convex function of the gain
        a, b = least + (most - least) / 3, most - (most - least) / 3
        (high_a, low_a), (high_b, low_b) = room(a), room(b)
        better = high_a - low_a < high_b - low_b
        least, most = np.where(better, least, a), np.where(better, b, most)
    gain = ((least + most) / 2).astype(np.float32)
    high, least_rest = room(gain.astype(np.float64))
    bias = ((high + least_rest) / 2).astype(np.float32)
    seen = np.rint(x.astype(np.float32) * gain[:, None] + bias[:, None])
    return (gain, bias) if (seen == values)[reached].all() else None
