"""A page from its template: style, scripts and data within it, so that it opens anywhere and asks nothing of any network.

A browser holds it to that: its content security policy allows what stands in the page and no request at all.
"""

from __future__ import annotations

import importlib.resources
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from arbonn.files import write_text

TEMPLATES = importlib.resources.files("arbonn.flows") / "templates"
LIBRARIES = ("vega", "vega-lite", "vega-embed")
# Attributes that a browser follows by itself or by a click, and what scripts and styles ask with.
FOLLOWED = {"src", "href", "xlink:href", "srcset", "data", "poster", "action", "formaction", "background", "manifest", "ping"}
ASKED = re.compile(r"""(?:url\(|@import|fetch\(|import\(|importScripts\(|WebSocket\(|EventSource\(|\.open\()\s*["'`]?\s*([^"'`)\s]*)""")
OUTSIDE = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)


def write_page(path: Path, template: str, values: dict[str, Any]) -> None:
    """Writes `template` filled with `values`; they are escaped, scripts and specifications excepted, which are closed safely."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(lambda name: (TEMPLATES / name).read_text(encoding="utf-8")),
    )
    environment.filters["figure"] = figure
    environment.filters["inline"] = inline
    environment.globals.update(style=_read("report.css"), script=_read("report.js"), libraries=list(_libraries()))
    write_text(path, environment.get_template(template).render(**values))


def figure(value: object) -> str:
    """A cell of a table: thousands apart, at most five digits of a fraction."""
    if isinstance(value, float) and not value.is_integer() and abs(value) < 1e5:
        return f"{value:.5g}"
    return f"{value:,.0f}" if isinstance(value, int | float) and not isinstance(value, bool) else "–" if value is None else str(value)


def inline(data: object) -> Any:
    """JSON for a script element: nothing in it ends the element or begins a comment."""
    from markupsafe import Markup

    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _libraries() -> Iterator[str]:
    """The plots' libraries as published, each behind its licence, which asks to stay with it."""
    for name in LIBRARIES:
        licence = _read(f"vega/{name}.LICENSE.txt").strip()
        yield f"/*! {name}\n{licence}\n*/\n{_read(f'vega/{name}.min.js')}"


class _Links(HTMLParser):
    """Collects every address that a page follows."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.reading = ""  # the element whose text is style or program

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        data = tag == "script" and "json" in (given.get("type") or "")
        self.reading = tag if tag in ("style", "script") and not data else ""
        for name, value in given.items():
            if name in FOLLOWED and value is not None:
                self.found += re.split(r",\s+", value) if name == "srcset" else [value]
            elif name == "style" and value is not None:
                self.found += ASKED.findall(value)

    def handle_endtag(self, tag: str) -> None:
        self.reading = ""

    def handle_data(self, data: str) -> None:
        if self.reading:
            self.found += ASKED.findall(data)


def external_requests(page: str) -> list[str]:
    """Addresses outside the page that it would ask for: in attributes, in styles, and written out in calls of scripts."""
    links = _Links()
    links.feed(page)
    return [address for address in links.found if OUTSIDE.match(address)]
