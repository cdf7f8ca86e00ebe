"""When each unit works and when it waits, over the first frames, by the timing engine.

The transfers are those of every cycle; the state between them is looked at in evenly spaced cycles, by running the engine up to each.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np

from arbonn.flows.buffers import busy_cycles
from arbonn.hw.graph import DataflowGraph, Node
from arbonn.hw.units.fifo import FIFO
from arbonn.sim.deadlock import State
from arbonn.sim.timing import predict, step

FRAMES = 3
WORK = 100_000_000  # cycles that the engine may run for the looks: two seconds
LEAST, MOST = 24, 240  # looks
STATES = {
    "moves": "a transfer on one of its ports",
    "works": "inside, no transfer",
    "input": "waits for an input",
    "output": "waits to be relieved of an output",
}
LEFT, ROW, WIDTH, HEAD = 190, 22, 720, 26


@dataclass(frozen=True)
class UnitTime:
    """`looks`: a key of STATES for each look. `spans`: first and last cycle with a transfer, of each frame.

    `busy`: cycles that a frame keeps it busy.
    """

    unit: str
    looks: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    busy: int

    @property
    def shares(self) -> dict[str, float]:
        """Share of looks in each state."""
        counted = Counter(self.looks)
        return {state: counted[state] / len(self.looks) for state in STATES}


@dataclass(frozen=True)
class Timeline:
    """`at`: the cycles that were looked at, of `cycles` that `frames` frames take; `ends`: the last transfer of each frame's answer."""

    frames: int
    cycles: int
    ends: tuple[int, ...]
    at: tuple[int, ...]
    units: tuple[UnitTime, ...]


def timeline(graph: DataflowGraph, frames: int = FRAMES) -> Timeline:
    """The units of a graph, FIFOs aside, over its first frames from a full source; CheckError on deadlock."""
    fed = 2 * frames  # the source goes on: else the first units would seem to wait at the end
    trace = predict(graph, fed)
    ends = np.max([trace.transfers[s.id][s.transfers - 1 :: s.transfers] for s in graph.outputs], axis=0)[:frames].tolist()
    cycles = ends[-1] + 1
    prepared = sum(s.steps for node in graph.nodes for s in node.control(graph.ports(node)).schedules)
    count = min(MOST, cycles, max(LEAST, WORK // (prepared + cycles)))
    at = tuple((2 * k + 1) * cycles // (2 * count) for k in range(count))
    totals = {s.id: fed * s.transfers for s in graph.streams}
    states = [step(graph, totals, None, cycle + 1)[1] for cycle in at]
    busy, units = busy_cycles(graph), list[UnitTime]()
    for node in graph.ordered():
        if isinstance(node, FIFO):
            continue
        spans = list[tuple[int, int]]()
        for k in range(frames):
            times = [trace.transfers[s.id][k * s.transfers : (k + 1) * s.transfers] for s in graph.ports(node).values()]
            spans.append((min(int(t[0]) for t in times), max(int(t[-1]) for t in times)))
        units.append(UnitTime(node.id, tuple(state_of(graph, node, seen) for seen in states), tuple(spans), busy[node.id]))
    return Timeline(frames, cycles, tuple(ends), at, tuple(units))


def state_of(graph: DataflowGraph, node: Node, seen: State) -> str:
    """What a unit did in a cycle, by the handshakes of its streams."""
    ports = graph.ports(node)
    takes, gives = [ports[port].id for port in node.takes], [ports[port].id for port in node.gives]
    if any(seen.valid[name] and seen.ready[name] for name in (*takes, *gives)):
        return "moves"
    if any(seen.valid[name] for name in gives):
        return "output"
    missing = any(seen.ready[name] and not seen.valid[name] for name in takes)
    # A join is ready on a port only while the others have something for it: with nothing on any it is ready on none.
    return "input" if missing or (len(takes) > 1 and not any(seen.valid[name] for name in takes)) else "works"


def draw(found: Timeline, prefix: str = "") -> str:
    """SVG: a line a unit, the colour its state, the frames' borders by their last transfer."""
    height = HEAD + ROW * len(found.units) + 24
    scale = WIDTH / found.cycles
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="time" viewBox="0 0 {LEFT + WIDTH + 20} {height}" role="img" '
        f'aria-labelledby="{prefix}time-title"><title id="{prefix}time-title">What each unit does in the first {found.frames} frames, '
        f"{found.cycles} cycles; the table below says the same</title>"
    ]
    for line, unit in enumerate(found.units):
        y = HEAD + ROW * line
        parts.append(f'<text x="{LEFT - 8}" y="{y + 14}" class="unit">{escape(unit.unit)}</text>')
        for first, last, state in _runs(unit.looks):
            x0, x1 = (found.cycles * k / len(found.at) * scale for k in (first, last + 1))
            parts.append(
                f'<rect class="{state}" x="{LEFT + x0:.1f}" y="{y}" width="{x1 - x0:.1f}" height="{ROW - 5}">'
                f"<title>{escape(unit.unit)}: {STATES[state]}, about cycles {found.at[first]} to {found.at[last]}</title></rect>"
            )
    for k, end in enumerate(found.ends, 1):
        x = LEFT + (end + 1) * scale
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{HEAD - 6}" y2="{height - 22}"/>')
        parts.append(f'<text class="frame" x="{x:.1f}" y="{HEAD - 10}">frame {k}: {end}</text>')
    parts.append(f'<text x="{LEFT}" y="{height - 6}">cycle 0</text>')
    parts.append(f'<text class="frame" x="{LEFT + WIDTH}" y="{height - 6}">cycle {found.cycles - 1}</text></svg>')
    return "".join(parts)


def _runs(looks: tuple[str, ...]) -> list[tuple[int, int, str]]:
    """Equal neighbours as (first, last, state)."""
    borders = [0, *(k for k in range(1, len(looks)) if looks[k] != looks[k - 1]), len(looks)]
    return [(a, b - 1, looks[a]) for a, b in pairwise(borders)]
