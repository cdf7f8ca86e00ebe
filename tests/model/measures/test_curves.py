"""The charts: valid Vega-Lite, one for each measure, that needs nothing from outside the file."""

from __future__ import annotations

import json

from arbonn.model.measures.curves import draw


def test_one_chart_a_measure_and_one_line_a_layer(tmp_path):
    history = [{"epoch": epoch, "loss": 1 / epoch, "flip_rate": 0.0, "flip_rate/fc0": 0.1} for epoch in (1, 2)]
    draw(history, tmp_path / "metrics.vl.json", "a run")
    page = json.loads((tmp_path / "metrics.vl.json").read_text())
    assert [chart["title"] for chart in page["concat"]] == ["loss", "flip_rate"]
    flips = page["concat"][1]
    assert [row["layer"] for row in flips["data"]["values"]] == ["all", "fc0", "all", "fc0"]
    assert flips["encoding"]["y"]["scale"] == {"type": "log"}
    assert all(row["value"] > 0 for row in flips["data"]["values"])  # a logarithm has no 0
    assert "vega-lite" in page["$schema"]
    assert "url" not in json.dumps(page["concat"])
