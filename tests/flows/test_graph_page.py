"""docs/graph.md says what the docstrings say."""

from __future__ import annotations

from pathlib import Path

from arbonn.flows.graph_page import page

PAGE = Path(__file__).parents[2] / "docs" / "graph.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "type: make docs"


def test_every_unit_is_on_it_and_says_when_and_what_it_does_to_stalls() -> None:
    text = page()
    files = {p.stem for p in (PAGE.parents[1] / "hw" / "units").glob("*.py")}
    assert len(text.split("\n### ")) > 8
    for section in text.split("\n### ")[1:]:
        name = section.split("\n")[0]
        assert any(name.lower() == stem.replace("_", "") for stem in files), name
        assert "Streams" in section, name
        assert "Timing" in section, name
