"""The drawing: well-formed, with every unit and stream and their figures, nothing outside the page."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from hypothesis import given

from arbonn.flows.buffers import busy_cycles
from arbonn.flows.show import draw, ranks, stream_text
from arbonn.hw import graph_file
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.fifo import FIFO
from tests.flows.test_cli import arbonn
from tests.networks import small_network
from tests.strategies import chains
from tests.strategies_images import blocks

SVG = "{http://www.w3.org/2000/svg}"


@given(graph=chains() | blocks())
def test_every_unit_and_stream_is_drawn_inside_the_page(graph: DataflowGraph) -> None:
    page = ElementTree.fromstring(draw(graph, "a <network> & more"))
    texts = ["".join(t.itertext()) for t in page.iter(f"{SVG}text")]
    assert all(stream_text(s) in texts for s in graph.streams)
    for node in graph.nodes:
        assert f"{node.id} ({node.kind})" in texts
        assert not isinstance(node, FIFO) or f"depth {node.depth}" in texts
    width, height = float(page.attrib["width"]), float(page.attrib["height"])
    for box in page.iter(f"{SVG}rect"):
        x, y, w, h = (float(box.attrib[k]) for k in ("x", "y", "width", "height"))
        assert x >= 0
        assert x + w <= width
        assert y >= 0
        assert y + h <= height


@given(graph=chains() | blocks())
def test_every_stream_goes_downwards(graph: DataflowGraph) -> None:
    rank = ranks(graph)
    assert all(rank[s.source.node] < rank[s.sink.node] for s in graph.streams if s.source and s.sink)


def test_a_unit_shows_its_folds_and_busy_cycles_and_the_busiest_is_marked() -> None:
    graph = small_network()
    text = draw(graph, "small")
    assert "SIMD 2, PE 2, busy 8 cycles" in text
    slowest = max(busy_cycles(graph), key=busy_cycles(graph).__getitem__)
    assert f'<g class="unit busiest" id="{slowest}">' in text


def test_the_command_writes_beside_the_graph(tmp_path: Path) -> None:
    graph_file.save(small_network(), tmp_path)
    done = arbonn("show", tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'graph.svg'}\n")
    assert (tmp_path / "graph.svg").read_text() == draw(small_network(), tmp_path.name)
