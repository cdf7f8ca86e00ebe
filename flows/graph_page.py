"""Writes docs/graph.md from the docstrings that are the contracts: `make docs`, or `python -m arbonn.flows.graph_page FILE`."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from types import ModuleType

from arbonn.files import write_text
from arbonn.hw import contract, datatypes, graph, packing, parameters, schedule
from arbonn.hw.units import levels, unit_kinds

INTRODUCTION = """# The dataflow graph

Made by `make docs` from the docstrings in `hw/`: change those, not this page.

A graph's nodes are the units below, its edges streams. What a unit computes is exact integer arithmetic; the reference, the timing
engine and the RTL agree in every bit and every cycle. `arbonn show BUILD` draws a graph.
"""
SECTIONS: tuple[tuple[str, ModuleType], ...] = (
    ("Graph and order of elements", graph),
    ("Types", datatypes),
    ("Frames and transfers", packing),
    ("Input contract", contract),
    ("Thresholds, levels and ties", levels),
    ("Control and cycles", schedule),
    ("Parameters in memory", parameters),
)
RULES = "## What makes a graph legal\n\n"


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, *(f"## {title}\n\n{_block(inspect.getdoc(module))}" for title, module in SECTIONS)]
    parts.append(RULES + "".join(f"- {(rule.__doc__ or '').strip()}\n" for rule in graph.RULES))
    parts.append("## Units\n")
    for name, kind in sorted(unit_kinds().items()):
        if kind.__module__.startswith("arbonn.hw.units."):  # not those of other packages, which this machine happens to have
            parts.append(f"### {name}\n\n{_block(inspect.getdoc(kind))}")
    return "\n".join(parts)


def _block(text: str | None) -> str:
    """Docstrings are laid out in columns, which only a block keeps."""
    assert text, "every contract is written down"
    return f"```text\n{text}\n```\n"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page())
    print(path)
