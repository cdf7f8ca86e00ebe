"""The page of a search: its front, every point with what was found of it, and the limits that points break."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from arbonn.errors import InputError
from arbonn.flows.explore.found import FOUND, ExploreResult, FoundPoint
from arbonn.flows.explore.metrics import METRICS
from arbonn.flows.report.page import figure, write_page
from arbonn.flows.report.plots import chart, specification

STATES = ("front", "allowed", "breaks a limit", "refused")
PAIRS = 3  # of objectives that are drawn


def read_search(folder: Path) -> ExploreResult:
    """What a search left in a folder. Raises InputError for a file that is none."""
    path = folder / FOUND
    try:
        return ExploreResult.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        reason = f"{error.error_count()} keys differ" if isinstance(error, ValidationError) else str(error)
        raise InputError(
            str(path), found=f"no readable search ({reason})", allowed="what this version of `arbonn explore` writes", fix="run it again"
        ) from None


def known_points(result: ExploreResult) -> list[FoundPoint]:
    """All points; of a space too large to be listed, the front."""
    return result.points or result.front


def states(result: ExploreResult) -> list[str]:
    """One of STATES for each known point."""
    front = [point.point for point in result.front]
    return [
        "front" if point.point in front else "refused" if point.refused else "breaks a limit" if point.broken else "allowed"
        for point in known_points(result)
    ]


def axes(result: ExploreResult) -> list[tuple[str, str]]:
    """Pairs of metrics to draw, across and up: of the objectives; of a single one against the LUTs or what else was measured."""
    names = list(result.objectives)
    if len(names) == 1:
        others = [name for point in known_points(result) for name in point.metrics if name != names[0]]
        names += ["luts"] if "luts" in others else others[:1]
    pairs = [(b, a) if result.objectives.get(a) == "max" else (a, b) for a, b in combinations(names, 2)]
    return pairs[:PAIRS]


def front_plot(result: ExploreResult, across: str, up: str) -> tuple[dict[str, Any], int]:
    """The points that have both metrics, with a line through the front where it is of these two; and how many have not."""
    import altair

    points, kinds = known_points(result), states(result)
    values = [
        {"row": k, "state": kinds[k], across: point.metrics[across], up: point.metrics[up], "point": _choices(point)}
        for k, point in enumerate(points)
        if across in point.metrics and up in point.metrics
    ]
    # The front last: it is drawn over the others.
    values.sort(key=lambda value: -STATES.index(value["state"]))
    x = altair.X(across, type="quantitative", scale=altair.Scale(zero=False), title=f"{across} ({_way(result, across)})")
    y = altair.Y(up, type="quantitative", scale=altair.Scale(zero=False), title=f"{up} ({_way(result, up)})")
    colours = altair.Scale(domain=list(STATES), range=["var(--c2)", "var(--c1)", "var(--c8)", "var(--c6)"])
    shapes = altair.Scale(domain=list(STATES), range=["diamond", "circle", "square", "cross"])
    dots = chart(values, 620, 380).mark_point(filled=True, opacity=0.9).encode(
        x=x, y=y,
        color=altair.Color("state", type="nominal", scale=colours, title=None),
        shape=altair.Shape("state", type="nominal", scale=shapes, title=None),
        size=altair.when("datum.row === picked").then(altair.value(330)).when("datum.state === 'front'").then(altair.value(130))
        .otherwise(altair.value(60)),
        stroke=altair.condition("datum.row === picked", altair.value("var(--ink)"), altair.value("transparent")),
        tooltip=[altair.Tooltip(name, type="nominal") for name in ("point", "state", across, up)],
    )  # fmt: skip
    layers = [dots]
    if set(result.objectives) == {across, up} and len(result.front) > 1:
        line = [value for value in values if value["state"] == "front"]
        layers.insert(0, chart(line, 620, 380).mark_line(color="var(--c2)", strokeDash=[4, 3]).encode(x=x, y=y))
    return specification(altair.layer(*layers)), len(points) - len(values)


def table(result: ExploreResult) -> tuple[list[str], list[list[object]]]:
    """Every point: its state, choices, metrics, rung, and what is wrong with it."""
    points = known_points(result)
    choices = list(dict.fromkeys(name for point in points for name in point.point))
    metrics = [name for name in METRICS if any(name in point.metrics for point in points)]
    head = ["point", "state", *choices, *metrics, "measured up to", "what is wrong"]
    rows: list[list[object]] = [
        [
            str(k), kind, *(point.point.get(name) for name in choices), *(point.metrics.get(name) for name in metrics), point.rung,
            "; ".join(wrong(point)),
        ]
        for k, (point, kind) in enumerate(zip(points, states(result), strict=True))
    ]  # fmt: skip
    return head, rows


def wrong(point: FoundPoint) -> Sequence[str]:
    """Why a point is no answer."""
    return [*([point.refused] if point.refused else []), *point.broken]


def limits(result: ExploreResult) -> list[list[object]]:
    """Each limit, and by how many points it is broken."""
    broken = Counter(text.partition(" ")[0] for point in known_points(result) for text in point.broken)
    return [[metric, limit, broken[metric]] for metric, limit in result.constraints.items()]


def write_search(result: ExploreResult, path: Path) -> None:
    """Writes the page."""
    points, kinds = known_points(result), states(result)
    plots = [(f"points--{k}", across, up, *front_plot(result, across, up)) for k, (across, up) in enumerate(axes(result))]
    head, rows = table(result)
    details = [
        {
            "title": f"Point {k}: {kind}",
            "values": {
                **point.point,
                **{name: figure(value) for name, value in point.metrics.items()},
                "measured up to": point.rung,
                **({"what is wrong": "; ".join(wrong(point))} if wrong(point) else {}),
                "folder": point.folder,
            },
        }
        for k, (point, kind) in enumerate(zip(points, kinds, strict=True))
    ]
    values = {
        "r": result, "plots": plots, "head": head, "rows": rows, "details": details, "counts": Counter(kinds), "states": STATES,
        "limits": limits(result), "all_points": bool(result.points), "folder": path.parent,
        "summaries": {name: metric.summary for name, metric in METRICS.items()},
    }  # fmt: skip
    write_page(path, "search.html", values)


def _way(result: ExploreResult, name: str) -> str:
    return {"max": "more is better", "min": "less is better"}.get(result.objectives.get(name, ""), "no objective")


def _choices(point: FoundPoint) -> str:
    return ", ".join(f"{name} {choice}" for name, choice in point.point.items())
