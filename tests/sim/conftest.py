"""Graphs that the tests of `sim` share: small, but with every kind of unit, two folds, a fork and a narrow buffer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import DataflowGraph, Endpoint, Node, Stream
from arbonn.hw.units.dwc import DWC
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.label_select import LabelSelect
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.thresholding import Thresholding


def chain(nodes: Sequence[Node], edges: Sequence[tuple[str, int, str, int]]) -> DataflowGraph:
    """Nodes in a row, joined through ports i and o by streams given as (id, channels, type, lanes)."""
    streams = []
    for k, (name, channels, dtype, lanes) in enumerate(edges):
        source = Endpoint(nodes[k - 1].id, "o") if k else None
        sink = Endpoint(nodes[k].id, "i") if k < len(nodes) else None
        streams.append(Stream(name, (channels,), datatype(dtype), lanes, source, sink))
    return DataflowGraph(tuple(nodes), tuple(streams), InputContract(datatype(edges[0][2])))


def classifier(seed: int = 0) -> DataflowGraph:
    """8 grey values to 4 classes: DWC, MVAU with thresholds, FIFO, MVAU, LabelSelect with its logits."""
    random = np.random.default_rng(seed)
    first, second = random.choice([-1, 1], (8, 8)), random.choice([-1, 1], (4, 8))
    nodes = [
        DWC("widen"),
        MVAU("hidden", first, datatype("BIPOLAR"), thresholds=random.integers(55, 66, (8, 1))),
        FIFO("buffer", depth=3),
        MVAU("last", second, datatype("BIPOLAR")),
        LabelSelect("select"),
    ]
    edges = [
        ("pixels", 8, "UINT4", 2),
        ("wide", 8, "UINT4", 4),
        ("bits", 8, "BIPOLAR", 2),
        ("stored", 8, "BIPOLAR", 2),
        ("sums", 4, "UINT4", 2),
    ]
    graph = chain(nodes, edges)
    ends = [
        Stream("label", (1,), datatype("UINT2"), 1, Endpoint("select", "label")),
        Stream("logits", (4,), datatype("UINT4"), 2, Endpoint("select", "logits")),
    ]
    return graph.with_nodes(graph.nodes, [*graph.streams, *ends]).verify()


def thresholder() -> DataflowGraph:
    """The smallest: one Thresholding unit, 4 channels in 2 transfers of 2."""
    node = Thresholding("level", np.array([[-2, 0, 3], [-1, 1, 2], [0, 1, 2], [-4, -3, 3]]))
    return chain([node], [("x", 4, "INT4", 2), ("y", 4, "UINT2", 2)]).verify()


@pytest.fixture(scope="session")
def small_classifier() -> DataflowGraph:
    return classifier()


@pytest.fixture(scope="session")
def small_thresholder() -> DataflowGraph:
    return thresholder()


@pytest.fixture(scope="session")
def make_chain() -> Callable[..., DataflowGraph]:
    return chain


@pytest.fixture(scope="session")
def bench_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests: what is compiled once is found again."""
    return tmp_path_factory.mktemp("bench")
