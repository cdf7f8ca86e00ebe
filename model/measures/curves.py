"""The log as charts: a Vega-Lite file beside `metrics.csv`, which any Vega viewer, notebook or editor draws without our help."""

from __future__ import annotations

from pathlib import Path

from arbonn.files import write_text

SHARES = {"flip_rate", "oscillation", "flip_rate_epoch"}  # spread over decades: drawn as log10(x + 1e-8)
FLOOR = 1e-8


def draw(history: list[dict[str, float]], path: Path, title: str) -> None:
    """One small chart for each column of the log, over the epochs; a layer's column is a line in the chart of its measure."""
    import altair

    names = [name for name in history[0] if name != "epoch"]
    charts = []
    for measure in dict.fromkeys(name.partition("/")[0] for name in names):
        columns = [name for name in names if name.partition("/")[0] == measure]
        log = measure in SHARES
        rows = [
            {"epoch": row["epoch"], "layer": column.partition("/")[2] or "all", "value": row[column] + FLOOR if log else row[column]}
            for row in history
            for column in columns
        ]
        scale = altair.Scale(type="log") if log else altair.Scale(zero=False)
        chart = altair.Chart(altair.Data(values=rows), title=measure, width=260, height=160).mark_line()
        charts.append(
            chart.encode(
                x=altair.X("epoch", type="quantitative"),
                y=altair.Y("value", type="quantitative", scale=scale, title=None),
                color=altair.Color("layer", type="nominal", sort=["all"]),
                tooltip=[altair.Tooltip("epoch", type="quantitative"), altair.Tooltip("value", type="quantitative")],
            )
        )
    page = altair.concat(*charts, columns=3, title=title).resolve_scale(color="shared")
    write_text(path, page.to_json(indent=None) + "\n")
