"""Plots as Vega-Lite specifications, each with the table of what it draws: no plotting library lets a keyboard reach a point.

Every datum carries `row`, the number of its table's row; the page's script joins both by it: choosing one marks the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SHARES = {"flip_rate", "oscillation", "flip_rate_epoch"}  # spread over decades
FLOOR = 1e-8
DRAWN = 6000  # values of a page's curves at most: it must open at once, and stay below 3 MB


@dataclass(frozen=True)
class Plot:
    """`spec`: Vega-Lite, or None where the table says it all. `cells`: every cell of the table is a datum of its own, not every row."""

    id: str
    title: str
    caption: str
    spec: dict[str, Any] | None
    head: Sequence[str]
    rows: Sequence[Sequence[object]]
    cells: bool = False
    kept: bool = True  # the table is open at first


def chart(values: list[dict[str, Any]], width: int, height: int) -> Any:
    """An Altair chart of `values` with `picked`, the row that is chosen; -1 for none."""
    import altair

    return altair.Chart(altair.InlineData(values=values), width=width, height=height).add_params(altair.param(name="picked", value=-1))


def curves(ident: str, measure: str, series: Mapping[str, Sequence[Mapping[str, float]]], columns: Mapping[str, str]) -> Plot:
    """One measure over the epochs. `series`: logs by the name of their run; `columns`: names of lines by the log's column."""
    import altair

    log = measure in SHARES
    values, rows, several = list[dict[str, Any]](), list[list[object]](), len(series) > 1
    lines = [(run, column, _line(run, name, several)) for run in series for column, name in columns.items()]
    epochs = sorted({row["epoch"] for history in series.values() for row in history})
    step = -(-len(epochs) * len(lines) // DRAWN)
    kept = {run: {row["epoch"]: row for row in history} for run, history in series.items()}
    for number, epoch in enumerate(epochs[::step]):
        found = [(line, kept[run].get(epoch, {}).get(column)) for run, column, line in lines]
        values += [
            {"row": number, "epoch": epoch, "line": line, "value": _short(value + FLOOR if log else value)}
            for line, value in found
            if value is not None
        ]
        rows.append([int(epoch), *(value for _, value in found)])
    order = [line for *_, line in lines]
    scale = altair.Scale(type="log") if log else altair.Scale(zero=False)
    name = None if len(lines) == 1 else altair.Legend(title=None)
    drawn = chart(values, 420, 200).encode(
        x=altair.X("epoch", type="quantitative", title="epoch", axis=altair.Axis(tickMinStep=1)),
        y=altair.Y("value", type="quantitative", scale=scale, title=measure),
    )
    # The order as a domain, not as `sort`: only of equal domains does Vega-Lite make one legend for colour and shape.
    ways: dict[str, Any] = {"type": "nominal", "scale": altair.Scale(domain=order)}
    dots = drawn.mark_point(filled=True, opacity=1).encode(
        color=altair.Color("line", legend=name, **ways),
        shape=altair.Shape("line", legend=name, **ways),
        size=altair.condition("datum.row === picked", altair.value(200), altair.value(30)),
        tooltip=[altair.Tooltip("line", type="nominal"), *(altair.Tooltip(n, type="quantitative") for n in ("epoch", "value"))],
    )
    caption = f"every {step}th epoch" if step > 1 else "every epoch"
    dashes = altair.StrokeDash("line", type="nominal", sort=order, legend=None)  # apart: it is to have no share in that legend
    lines_drawn = drawn.mark_line().encode(color=dots.encoding.color, strokeDash=dashes)
    spec = specification(altair.layer(lines_drawn, dots))
    return Plot(ident, measure.replace("_", " "), caption, spec, ["epoch", *order], rows, kept=False)


def _line(run: str, name: str, several: bool) -> str:
    return f"{run}: {name}" if several and name != "all" else run if several else name


def confusion(ident: str, counts: Sequence[Sequence[int]], caption: str) -> Plot:
    """Frames by their class (rows) and by the answer (columns)."""
    import altair

    size = len(counts)
    values = [
        {"row": true * size + answer, "true": true, "answer": answer, "frames": counts[true][answer], "right": true == answer}
        for true in range(size)
        for answer in range(size)
    ]
    side = min(440, max(160, 34 * size))
    axes = {
        "x": altair.X("answer", type="ordinal", title="answer", axis=altair.Axis(labelAngle=0)),
        "y": altair.Y("true", type="ordinal", title="class"),
    }
    boxes = chart(values, side, side).mark_rect().encode(
        **axes,
        stroke=altair.condition("datum.row === picked", altair.value("var(--ink)"), altair.value("var(--line)")),
        strokeWidth=altair.condition("datum.row === picked", altair.value(4), altair.value(0.5)),
        fill=altair.condition("datum.right", altair.value("var(--c1)"), altair.value("var(--c2)")),
        fillOpacity=altair.FillOpacity("frames", type="quantitative", scale=altair.Scale(range=[0.03, 0.45]), legend=None),
        tooltip=[altair.Tooltip(name, type="quantitative") for name in ("true", "answer", "frames")],
    )  # fmt: skip
    text = chart(values, side, side).mark_text(fontSize=11).encode(**axes, text=altair.Text("frames", type="quantitative"))
    layers = [boxes, text.transform_filter("datum.frames > 0")] if size <= 20 else [boxes]
    head = ["class", *(str(k) for k in range(size))]
    rows = [[true, *counts[true]] for true in range(size)]
    return Plot(ident, "Confusion matrix", caption, specification(altair.layer(*layers)), head, rows, cells=True)


def specification(built: Any) -> dict[str, Any]:
    """The Vega-Lite data of an Altair chart; `picked` is declared once, at the top, where a view knows it by its name."""
    spec: dict[str, Any] = built.to_dict()
    found = [param for part in (spec, *spec.get("layer", ())) for param in part.pop("params", ())]
    spec["params"] = [param for k, param in enumerate(found) if "select" in param or param not in found[:k]]
    for param in spec["params"]:
        param.pop("views", None)
    spec.pop("$schema", None)  # an address that nothing would ask for: the page states the mode itself
    return spec


def _short(value: float) -> float:
    return float(f"{value:.6g}")
