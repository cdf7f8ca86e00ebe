"""The graph as an SVG drawing: units with folds and busy cycles, buffers with their depth, streams with shape, type and lanes.

A unit's rank is the longest way to it from an input, so every stream goes downwards; ranks are centred under each other. The text is
drawn as text (it can be searched and read aloud), and colours follow the reader's light or dark theme.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from arbonn.files import write_text
from arbonn.flows.buffers import busy_cycles
from arbonn.flows.folding import folding_of
from arbonn.hw.graph import DataflowGraph, Node, Stream
from arbonn.hw.units.fifo import FIFO

WIDTH, HEIGHT = 250, 62  # of a box
ACROSS, DOWN = 30, 58  # between boxes
MARGIN = 20
LABEL = 240  # room at the right for the labels of the last column
STYLE = """
  svg { background: #fff; color: #1b1f24; font: 13px system-ui, sans-serif }
  text { fill: currentColor; text-anchor: middle } .small { font-size: 11px; opacity: .75 } .edge { text-anchor: start }
  rect { fill: #eef3fb; stroke: #4a6fa5 } .buffer rect { fill: #f6f6f4; stroke: #8a8a80 }
  .busiest rect { stroke: #c2410c; stroke-width: 2.5 }
  path { fill: none; stroke: currentColor; opacity: .6 } marker path { fill: currentColor; opacity: 1; stroke: none }
  @media (prefers-color-scheme: dark) {
    svg { background: #16191d; color: #e6e6e6 } rect { fill: #1f2b3d; stroke: #7ea2d8 } .buffer rect { fill: #26282b }
    .busiest rect { stroke: #fb923c }
  }
"""


def ranks(graph: DataflowGraph) -> dict[str, int]:
    """The longest way to each unit, in units."""
    found: dict[str, int] = {}
    for node in graph.ordered():
        sources = [s.source.node for s in graph.ports(node).values() if s.source and s.sink and s.sink.node == node.id]
        found[node.id] = 1 + max((found[name] for name in sources), default=-1)
    return found


def figures_of(node: Node, folding: dict[str, dict[str, int]], busy: int) -> str:
    """The line under a unit's name."""
    if isinstance(node, FIFO):
        return f"depth {node.depth}"
    folds = ", ".join(f"{key} {lanes}" for key, lanes in folding.get(node.id, {}).items())
    return f"{folds + ', ' if folds else ''}busy {busy} cycles"


def stream_text(stream: Stream) -> str:
    """`x: 8x8x16 BIPOLAR, 4 lanes, 256 transfers`"""
    shape = "x".join(map(str, stream.shape))
    lanes = f"{stream.lanes} lane" + ("s" if stream.lanes > 1 else "")
    return f"{stream.id}: {shape} {stream.dtype}, {lanes}, {stream.transfers} transfers"


def places(graph: DataflowGraph) -> tuple[dict[str, tuple[float, float]], float, float]:
    """The top centre of each unit, by id, and of each rank that a stream passes, by `id@rank`; the page's width and height."""
    rank = ranks(graph)
    rows: list[list[str]] = [[] for _ in range(max(rank.values()) + 1)]
    for node in graph.ordered():
        rows[rank[node.id]].append(node.id)
    for s in graph.streams:
        if s.source and s.sink:
            for k in range(rank[s.source.node] + 1, rank[s.sink.node]):
                rows[k].append(f"{s.id}@{k}")  # a place of its own beside the units that it passes
    middle = MARGIN + max(map(len, rows)) * (WIDTH + ACROSS) / 2
    at = {
        name: (middle + (j - (len(row) - 1) / 2) * (WIDTH + ACROSS), float(MARGIN + DOWN + k * (HEIGHT + DOWN)))
        for k, row in enumerate(rows)
        for j, name in enumerate(row)
    }
    return at, 2 * middle + LABEL, len(rows) * (HEIGHT + DOWN) + DOWN + 2 * MARGIN


def draw(graph: DataflowGraph, title: str) -> str:
    """The SVG text."""
    busy, folding = busy_cycles(graph), folding_of(graph)
    at, across, down = places(graph)
    slowest = max(busy, key=lambda name: busy[name])
    boxes = [_box(node, at[node.id], figures_of(node, folding, busy[node.id]), node.id == slowest) for node in graph.ordered()]
    described = f"{len(graph.nodes)} units, {len(graph.streams)} streams; the busiest is {slowest}, {busy[slowest]} cycles a frame"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across:g} {down:g}" width="{across:g}" height="{down:g}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(described)}</desc>",
            f"<style>{STYLE}</style>",
            '<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">',
            '<path d="M0 0L8 4L0 8z"/></marker>',
            f'<text class="edge" x="{MARGIN}" y="{MARGIN}">{escape(title)}</text>',
            f'<text class="small edge" x="{MARGIN}" y="{down - 8:g}">{escape(described)}</text>',
            *_edges(graph, at, ranks(graph)),
            *boxes,
            "</svg>\n",
        ]
    )


def _box(node: Node, centre: tuple[float, float], figures: str, busiest: bool) -> str:
    (x, y), kind = centre, "buffer" if isinstance(node, FIFO) else "unit"
    origin = ", ".join(node.origin) or "made by folding"
    return (
        f'<g class="{kind}{" busiest" if busiest else ""}" id="{node.id}"><title>{escape(node.id)}: {escape(origin)}</title>'
        f'<rect x="{x - WIDTH / 2:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
        f'<text x="{x:g}" y="{y + 25:g}">{escape(node.id)} ({escape(node.kind)})</text>'
        f'<text class="small" x="{x:g}" y="{y + 46:g}">{escape(figures)}</text></g>'
    )


def _edges(graph: DataflowGraph, at: dict[str, tuple[float, float]], rank: dict[str, int]) -> list[str]:
    """Streams as lines; a unit's ports are spread over its width, the labels of one unit's streams stand one above the other."""
    lines = []
    for s in graph.streams:
        points: list[tuple[float, float]] = []
        level = 0
        if s.source:
            ports = graph.node(s.source.node).gives
            level = ports.index(s.source.port)
            x, y = at[s.source.node]
            points.append((x + _shift(level, len(ports)), y + HEIGHT))
        if s.source and s.sink:
            passed = [at[f"{s.id}@{k}"] for k in range(rank[s.source.node] + 1, rank[s.sink.node])]
            points += [point for x, y in passed for point in ((x, y), (x, y + HEIGHT))]
        if s.sink:
            ports = graph.node(s.sink.node).takes
            x, y = at[s.sink.node]
            end = (x + _shift(ports.index(s.sink.port), len(ports)), y)
            points += [end] if s.source else [(end[0], y - DOWN + 14), end]
        else:
            points.append((points[0][0], points[0][1] + DOWN - 14))
        x, y = points[0]
        lines.append(f'<path d="M{"L".join(f"{x:g} {y:g}" for x, y in points)}" marker-end="url(#tip)"/>')
        lines.append(f'<text class="small edge" x="{x + 6:g}" y="{y + 14 + 13 * level:g}">{escape(stream_text(s))}</text>')
    return lines


def _shift(number: int, count: int) -> float:
    """Where a unit's port stands, from its centre."""
    return (number - (count - 1) / 2) * WIDTH / count


def show(graph: DataflowGraph, title: str, path: Path) -> None:
    """Writes the drawing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, draw(graph, title))
