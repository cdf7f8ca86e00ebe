"""What nobody reads costs nothing: an unrolled network costs what it costs without the neurons that lead nowhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.hw.contract import InputContract
from arbonn.hw.cost.cost import FAMILIES
from arbonn.hw.cost.read import channels_read, unit_costs
from arbonn.hw.datatypes import Integers, datatype
from arbonn.hw.graph import DataflowGraph, Endpoint, Node, Stream
from arbonn.hw.units.thresholding import Thresholding
from arbonn.hw.units.unrolled_mvau import UnrolledMVAU
from tests.strategies import seeds

BIT, BYTE, CONNECTION = datatype("BIPOLAR"), datatype("UINT8"), datatype("TERNARY")


def network(layers: list[Integers], thresholds: Integers, primitives: bool = False) -> DataflowGraph:
    """Bytes -> bits -> unrolled layers of these weights (neurons, inputs), each neuron 1 where its sum is above 0."""
    nodes: list[Node] = [Thresholding("bits", thresholds)]
    for number, weights in enumerate(layers):
        zero = np.zeros((len(weights), 1), dtype=np.int64)
        nodes.append(UnrolledMVAU(f"layer_{number}", weights, CONNECTION, "dot", zero, moves=0, primitives=primitives))
    sizes = [len(thresholds), len(thresholds), *(len(weights) for weights in layers)]
    ends = [None, *(node.id for node in nodes), None]
    streams = [
        Stream(
            f"s{k}", (n,), BYTE if k == 0 else BIT, n, Endpoint(ends[k] or "", "o") if ends[k] else None,
            Endpoint(ends[k + 1] or "", "i") if ends[k + 1] else None,
        )
        for k, n in enumerate(sizes)
    ]  # fmt: skip
    return DataflowGraph(tuple(nodes), tuple(streams), InputContract(BYTE)).verify()


def connected(random: np.random.Generator, rows: int, columns: int, each: int) -> Integers:
    found = np.zeros((rows, columns), dtype=np.int64)
    for row in found:
        row[random.choice(columns, each, replace=False)] = random.choice([-1, 1], each)
    return found


@settings(max_examples=20, deadline=None)
@given(seed=seeds, target=st.sampled_from(FAMILIES), neurons=st.integers(4, 30), primitives=st.booleans())
def test_a_network_costs_what_it_costs_without_its_unread_neurons(seed: int, target: str, neurons: int, primitives: bool) -> None:
    random = np.random.default_rng(seed)
    first, second = connected(random, neurons, 12, 3), connected(random, 3, neurons, 4)
    thresholds = random.integers(1, 255, (12, 1))
    read = second.any(axis=0)
    whole = network([first, second], thresholds, primitives)
    pixels = first[read].any(axis=0)
    needed = network([first[read][:, pixels], second[:, read]], thresholds[pixels], primitives)
    wanted = list(unit_costs(needed, target).values())
    assert list(unit_costs(whole, target).values()) == pytest.approx(wanted)
    alone = [node.cost(whole.ports(node), target) for node in whole.ordered()]
    assert sum(cost.ffs for cost in alone) - sum(cost.ffs for cost in wanted) >= (~read).sum()


def test_which_channels_are_read_is_told_from_the_last_layer_back() -> None:
    first = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, -1, 0, 1]])
    graph = network([first, np.array([[1, 0, 0], [1, 1, 0]])], np.full((4, 1), 9))
    assert {name: read.tolist() for name, read in channels_read(graph).items()} == {
        "s2": [True, True, False],  # the third neuron leads nowhere
        "s1": [True, True, True, False],
        "s0": [True, True, True, False],
    }


def test_a_table_of_few_connections_is_a_lut_and_equal_ones_are_one() -> None:
    weights = np.array([[1, 1, 1, 0, 0, 0]] * 3 + [[0, 0, 0, 1, -1, 1]])
    graph = network([weights], np.full((6, 1), 9), primitives=True)
    node = graph.node("layer_0")
    assert node.parts(graph.ports(node), "xc7").amounts["LUT cell"] == 2
