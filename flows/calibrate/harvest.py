"""Whole networks that were synthesised for something else: every one that `arbonn explore` measured lies in the content store."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path

from arbonn.errors import GraphError
from arbonn.files import UNREADABLE
from arbonn.flows.buffers import busy_cycles
from arbonn.flows.calibrate.shipped import Whole
from arbonn.flows.calibrate.spec import spec_of
from arbonn.hw import graph_file
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.sparse_mvau import SparseMVAU
from arbonn.hw.units.unrolled_mvau import UnrolledMVAU
from arbonn.hw.units.vvau import VVAU


def harvested(root: Path) -> list[Whole]:
    """Networks of the store `root` that both stages `lower` and `synth` know, of today's schema; one a folding and family.

    None that is unrolled: to count its parts takes the search of its layers again, up to minutes.
    """
    graphs = dict(_graphs(root))
    found: dict[str, Whole] = {}
    for folder in sorted((root / "objects").glob("synth-*")):
        try:
            digest = json.loads((folder / "stored.json").read_text(encoding="utf-8"))["inputs"]["graph"]
            result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            graph = graph_file.load(graphs[digest])
        except (KeyError, GraphError, *UNREADABLE):
            continue
        if any(isinstance(node, UnrolledMVAU) for node in graph.nodes):
            continue
        cells = {name: float(result[name]) for name in ("luts", "ffs", "brams", "carry")}
        made = whole(graph, {result["family"]: cells})
        found.setdefault(f"{made.network} {made.folding} {result['family']}", made)  # other weights of the same shapes teach nothing
    return [found[name] for name in sorted(found)]


def whole(graph: DataflowGraph, cells: dict[str, dict[str, float]], held_out: bool | None = None) -> Whole:
    """A folded network with its cells by family. held_out: drawn by its name where None, so the same for all its foldings."""
    layers = [node for node in graph.ordered() if isinstance(node, MVAU | VVAU | SparseMVAU | UnrolledMVAU)]
    name = "-".join(str(size) for size in [*(node.weights.shape[1] for node in layers), *(len(node.weights) for node in layers[-1:])])
    folding = " ".join(f"{graph.ports(node)['o'].lanes}x{graph.ports(node)['i'].lanes}" for node in layers)
    drawn = zlib.crc32(name.encode()) % 2 == 0 if held_out is None else held_out
    specs = [spec_of(node, graph.ports(node), values=True) for node in graph.nodes]
    return Whole(name, folding, max(busy_cycles(graph).values()), cells, specs, drawn)


def _graphs(root: Path) -> Iterator[tuple[str, Path]]:
    for folder in sorted((root / "objects").glob("lower-*")):
        try:
            yield json.loads((folder / "graph.json").read_text(encoding="utf-8"))["digest"], folder
        except (KeyError, *UNREADABLE):
            continue
