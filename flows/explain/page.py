"""The way of one image as text for a terminal and as an SVG drawing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from arbonn.flows.explain.follow import ROW, Step, bit_rows, picture, row_length
from arbonn.hw.datatypes import Integers

LINES = 8  # of values in the terminal; more are counted
DRAWN = 1024  # values of a step in the drawing
NUMBERED = 24  # values that are told as numbers too
CELL, GAP = 11, 2  # of a value in the drawing
BAR = 40  # height of the greatest sum
WIDTH = ROW * (CELL + GAP) + 60
MARGIN, HEAD = 30, 22
TIME = 220  # width of the cycles' column
STYLE = """
  svg { background: #fff; color: #1b1f24; font: 13px system-ui, sans-serif }
  text { fill: currentColor } .small { font-size: 11px; opacity: .8 }
  .cell { stroke: #8a8a80; stroke-width: .5 } .bar { fill: #8aa7d2 } .met { fill: #2f5d9e } .limit { stroke: #c2410c; stroke-width: 1.5 }
  .axis { stroke: currentColor; opacity: .3 } .time { fill: #4a6fa5 }
  @media (prefers-color-scheme: dark) {
    svg { background: #16191d; color: #e6e6e6 } .bar { fill: #41597c } .met { fill: #7ea2d8 } .limit { stroke: #fb923c }
  }
"""


def as_text(steps: Sequence[Step]) -> str:
    """The way in lines, for a terminal of 100 columns."""
    lines = list[str]()
    for step in steps:
        lines.append(f"\n{_title(step)}   cycles {step.first_cycle} .. {step.last_cycle}")
        if step.kind == "input":
            lines += picture(step.values)
            continue
        if step.sums is not None:
            lines.append(f"{step.sums_are} {_some(step.sums)}")
            assert step.thresholds is not None
            lines.append(f"{'reach' if step.thresholds.shape[1] == 1 else 'count those reached of'} {_some(step.thresholds)}")
        rows = bit_rows(step.values, step.dtype)
        lines += rows[:LINES] + ([f"... {len(rows) - LINES} more lines"] if len(rows) > LINES else [])
    return "\n".join(lines).lstrip("\n")


def as_svg(steps: Sequence[Step], title: str) -> str:
    """The way as a drawing: a band a step, its cycles in a column at the right."""
    total = max(step.last_cycle for step in steps) + 1
    bands, y = list[str](), MARGIN + HEAD
    for step in steps:
        text, height = _band(step, y)
        x0 = WIDTH + TIME * step.first_cycle / total
        length = max(2.0, TIME * (step.last_cycle + 1 - step.first_cycle) / total)
        bands.append(
            f'<g id="{escape(step.stream)}"><title>{escape(_title(step))}</title>{text}'
            f'<line class="axis" x1="{WIDTH}" x2="{WIDTH + TIME}" y1="{y + 20}" y2="{y + 20}"/>'
            f'<rect class="time" x="{x0:.1f}" y="{y + 14}" width="{length:.1f}" height="12"/>'
            f'<text class="small" x="{WIDTH}" y="{y + 40}">cycles {step.first_cycle} .. {step.last_cycle} of {total}</text></g>'
        )
        y += height
    across, down = WIDTH + TIME + MARGIN, y + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across} {down}" width="{across}" height="{down}" role="img">',
            f"<title>{escape(title)}</title>",
            "<desc>Each band is a unit: what it compared with its thresholds as bars with a line at the threshold, "
            "what left it as squares, and at the right the cycles in which that left.</desc>",
            f"<style>{STYLE}</style>",
            f'<text x="{MARGIN}" y="{MARGIN}">{escape(title)}</text>',
            *bands,
            "</svg>\n",
        ]
    )


def _title(step: Step) -> str:
    shape = "x".join(map(str, step.values.shape))
    made = f" from {', '.join(step.origin)}" if step.origin else ""
    return f"{step.unit} ({step.kind}){made}: {step.stream}, {shape} {step.dtype}"


def _some(values: Integers, count: int = 16) -> str:
    flat = values.reshape(-1)
    return " ".join(str(int(n)) for n in flat[:count]) + (f" ... ({flat.size})" if flat.size > count else "")


def _band(step: Step, y: int) -> tuple[str, int]:
    """A step's drawing from `y` downwards, and its height."""
    flat, per_row = _pixels(step)
    parts = [f'<text x="{MARGIN}" y="{y + 14}">{escape(_title(step))}</text>']
    top = y + HEAD
    if step.sums is not None and step.thresholds is not None and step.thresholds.shape[1] == 1 and flat.size <= ROW:
        parts.append(_bars(step, top))
        top += BAR + 8
    elif step.sums is not None:
        parts.append(f'<text class="small" x="{MARGIN}" y="{top + 12}">{escape(step.sums_are)} {_some(step.sums, 24)}</text>')
        top += 20
    shown = flat[:DRAWN]
    low, span = float(shown.min()), float(shown.max() - shown.min())
    bits = step.dtype in ("BIPOLAR", "BINARY")
    for place, value in enumerate(shown):
        x, at = MARGIN + place % per_row * (CELL + GAP), top + place // per_row * (CELL + GAP)
        dark = float(value > 0) if bits else ((float(value) - low) / span if span else 0.0)
        grey = round(255 - 215 * dark)
        parts.append(
            f'<rect class="cell" x="{x}" y="{at}" width="{CELL}" height="{CELL}" fill="rgb({grey},{grey},{grey})">'
            f"<title>{int(value)}</title></rect>"
        )
    top += -(-shown.size // per_row) * (CELL + GAP)
    if shown.size <= NUMBERED and not bits:
        parts.append(f'<text class="small" x="{MARGIN}" y="{top + 12}">{_some(shown, NUMBERED)}</text>')
        top += 18
    if shown.size < flat.size:
        parts.append(f'<text class="small" x="{MARGIN}" y="{top + 12}">and {flat.size - shown.size} more</text>')
        top += 18
    return "".join(parts), max(top - y + 22, 60)


def _pixels(step: Step) -> tuple[Integers, int]:
    """What is drawn of a step, and how much in a row: of the input the mean of its channels, of a long vector a square where it is one."""
    if step.kind == "input" and step.values.ndim == 3:
        return np.rint(step.values.mean(axis=-1)).astype(np.int64).reshape(-1), step.values.shape[1]
    wide = step.kind == "input" or (step.values.ndim == 1 and step.values.size > ROW)
    return step.values.reshape(-1), row_length(step.values) if wide else ROW


def _bars(step: Step, top: int) -> str:
    """Each sum as a bar from its row's least to its greatest drawn, dark where it reaches the threshold, with a line at the threshold."""
    assert step.sums is not None
    assert step.thresholds is not None
    sums = step.sums.reshape(-1).astype(np.float64)
    limits = np.resize(step.thresholds[:, 0], sums.size).astype(np.float64)
    low, high = min(sums.min(), limits.min(), 0.0), max(sums.max(), limits.max(), 1.0)
    scale = BAR / (high - low)
    parts = []
    for place, (total, limit) in enumerate(zip(sums, limits, strict=True)):
        x, height, line = MARGIN + place * (CELL + GAP), (total - low) * scale, top + BAR - (limit - low) * scale
        met = "met" if total >= limit else "bar"
        parts.append(
            f'<rect class="{met}" x="{x}" y="{top + BAR - height:.1f}" width="{CELL}" height="{height:.1f}">'
            f"<title>{int(total)}, threshold {int(limit)}</title></rect>"
            f'<line class="limit" x1="{x}" x2="{x + CELL}" y1="{line:.1f}" y2="{line:.1f}"/>'
        )
    return "".join(parts)
