"""What a legal graph is, its file, and the Verilog made from it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from arbonn.errors import GraphError
from arbonn.hw.accelerator import Accelerator, version_code
from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import DataflowGraph, Endpoint, Stream
from arbonn.hw.graph_file import digest, load, save
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.verilog import to_verilog
from arbonn.sim.reference import execute
from tests.networks import small_network
from tests.strategies import chains, values


@settings(max_examples=30)
@given(graph=chains())
def test_a_saved_graph_computes_the_same(graph: DataflowGraph, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("graph")
    save(graph, folder)
    again = load(folder)
    assert digest(again) == digest(graph)
    x = values(np.random.default_rng(0), graph.inputs[0].dtype, (5, *graph.inputs[0].shape))
    before, after = execute(graph, {"x": x}), execute(again, {"x": x})
    for name, expected in before.items():
        assert_array_equal(after[name], expected)


def test_the_digest_follows_weights_and_folds_but_not_provenance() -> None:
    graph = small_network()
    flipped = replace(graph.nodes[0], weights=-graph.nodes[0].weights)  # type: ignore[type-var]
    assert digest(graph.with_nodes([flipped, *graph.nodes[1:]], graph.streams)) != digest(graph)
    wider = [replace(s, lanes=4) if s.id == "x" else s for s in graph.streams]
    assert digest(graph.with_nodes(graph.nodes, wider)) != digest(graph)
    assert digest(replace(graph, provenance={"file": "other"})) == digest(graph)


def test_verilog_is_the_same_twice_and_holds_no_path() -> None:
    first, second = (to_verilog(Accelerator(small_network()), "arbonn") for _ in range(2))
    assert first == second
    assert str(Path(__file__).parents[2]) not in first
    assert "src = " not in first
    for port in ("clk", "rst", "x__payload", "x__valid", "x__ready", "label__payload", "logits__valid", "version", "graph_hash"):
        assert f" {port};" in first, port


def test_the_device_tells_its_version_and_its_graph() -> None:
    graph = small_network()
    text = to_verilog(Accelerator(graph), "arbonn")
    assert f"assign graph_hash = 64'h{digest(graph)[:16]};" in text
    assert f"assign version = 16'h{version_code():04x};" in text


def with_stream(graph: DataflowGraph, name: str, **changes: object) -> DataflowGraph:
    return graph.with_nodes(graph.nodes, [replace(s, **changes) if s.id == name else s for s in graph.streams])  # type: ignore[arg-type]


def broken() -> dict[str, DataflowGraph]:
    good = small_network()
    first = good.nodes[0]
    assert isinstance(first, MVAU)
    return {
        "stream x: shape (8,), lanes 3": with_stream(good, "x", lanes=3),
        "node id 'Mvau'": good.with_nodes([replace(first, id="Mvau"), *good.nodes[1:]], good.streams),
        "output port mvau_0.o is on 0 streams": with_stream(good, "mvau_0_o", source=None),
        "input x is UINT2, the contract says UINT3": with_stream(good, "x", dtype=datatype("UINT2")),
        "depth 17 (3 .. 16 allowed)": good.with_nodes([replace(first, depth=17), *good.nodes[1:]], good.streams),
        "a directed cycle through fifo_a, fifo_b": DataflowGraph(
            tuple(FIFO(f"fifo_{name}", 2) for name in "abc"),
            tuple(
                Stream(
                    name,
                    (4,),
                    datatype("UINT3"),
                    2,
                    Endpoint(f"fifo_{source}", "o") if source else None,
                    Endpoint(f"fifo_{sink}", "i") if sink else None,
                )
                for name, source, sink in (("x", "", "c"), ("y", "c", ""), ("there", "a", "b"), ("back", "b", "a"))
            ),
            good.contract,
        ),
    }


@pytest.mark.parametrize("what", broken())
def test_an_illegal_graph_is_refused_by_what_is_wrong(what: str) -> None:
    with pytest.raises(GraphError) as caught:
        broken()[what].verify()
    assert what in str(caught.value)


def damage(folder: Path, how: str) -> None:
    path = folder / "graph.json"
    document = json.loads(path.read_text())
    if how == "truncated":
        path.write_text(path.read_text()[:200])
    elif how == "arrays missing":
        (folder / "graph.npz").unlink()
    elif how == "arrays cut":
        (folder / "graph.npz").write_bytes((folder / "graph.npz").read_bytes()[:100])
    elif how == "schema":
        path.write_text(json.dumps({**document, "schema": 99}))
    elif how == "unit":
        document["nodes"][0]["kind"] = "Transformer"
        path.write_text(json.dumps(document))
    elif how == "parameter":
        document["nodes"][0]["colour"] = "red"
        path.write_text(json.dumps(document))
    elif how == "lanes":
        document["streams"][0]["lanes"] = 1
        path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ("truncated", "no readable graph (JSONDecodeError"),
        ("arrays missing", "no readable graph (FileNotFoundError"),
        ("arrays cut", "no readable graph (BadZipFile"),
        ("schema", "schema 99\n  allowed  schema 1"),
        ("unit", "unit 'Transformer': no such unit"),
        ("parameter", "a damaged graph (ValueError: MVAU with colour)"),
        ("lanes", "another digest than graph.npz and graph.json give"),
    ],
)
def test_a_damaged_file_is_refused(how: str, found: str, tmp_path: Path) -> None:
    save(small_network(), tmp_path)
    damage(tmp_path, how)
    with pytest.raises(GraphError) as caught:
        load(tmp_path)
    assert found in str(caught.value)


@settings(max_examples=60)
@given(data=st.data())
def test_any_damaged_byte_is_one_error_or_harmless(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("graph")
    save(small_network(), folder)
    path = folder / data.draw(st.sampled_from(["graph.npz", "graph.json"]))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with suppress(GraphError):
        assert digest(load(folder)) == digest(small_network())
