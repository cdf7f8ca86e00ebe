"""The fast reference equals the plain one: every integer of every stream, its type, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.errors import InputError
from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import DataType, Integers, datatype, smallest
from arbonn.hw.graph import DataflowGraph, Endpoint, Node, Stream
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.thresholding import Thresholding
from arbonn.sim import fast, reference
from tests.networks import small_network
from tests.strategies import chains, seeds, types, values


def equal(graph: DataflowGraph, inputs: dict[str, Integers]) -> None:
    expected = reference.execute(graph, inputs)
    given = fast.execute(graph, inputs, list(expected))
    for name, wanted in expected.items():
        assert given[name].dtype == np.int64
        np.testing.assert_array_equal(given[name], wanted, name)


@settings(max_examples=40)
@given(graph=chains(), frames=st.integers(1, 5), seed=seeds)
def test_it_equals_the_plain_reference_on_every_stream(graph: DataflowGraph, frames: int, seed: int) -> None:
    x = graph.inputs[0]
    equal(graph, {x.id: values(np.random.default_rng(seed), x.dtype, (frames, *x.shape))})


def one(node: Node, i: tuple[int, ...], o: tuple[int, ...], taken: DataType, given_: DataType) -> DataflowGraph:
    """One unit between an input and an output, unfolded."""
    streams = (Stream("x", i, taken, 1, None, Endpoint("u", "i")), Stream("y", o, given_, 1, Endpoint("u", "o")))
    return DataflowGraph((node,), streams, InputContract(taken)).verify()


widths = st.sampled_from([1, 2, 63, 64, 65, 128, 130])  # on both sides of a word's edge


@settings(max_examples=40)
@given(
    columns=widths, rows=widths, taken=st.just(datatype("BIPOLAR")) | types,  # bipolar times bipolar has loops of its own
    held=st.just("BIPOLAR") | st.sampled_from(["BIPOLAR", "BINARY", "TERNARY", "INT3", "UINT2"]),
    popcount=st.booleans(), levels=st.sampled_from([0, 1, 2, 3]), seed=seeds,
)  # fmt: skip
def test_layers_of_any_width_and_type_equal(
    columns: int, rows: int, taken: DataType, held: str, popcount: bool, levels: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    weights, domain = values(random, datatype(held), (rows, columns)), "popcount" if popcount and held == "BIPOLAR" else "dot"
    node = MVAU("u", weights, datatype(held), domain)
    low, high = node.accumulator_range(taken.low, taken.high, taken)
    given_ = smallest(int(low.min()), int(high.max()))
    if levels:
        # Near what random inputs reach: between the extremes almost every neuron would give a constant.
        middle = ((low + high) // 2)[:, None] + random.integers(-8, 9, (rows, levels))
        node = MVAU("u", weights, datatype(held), domain, np.sort(middle, axis=1))
        given_ = datatype(random.choice(["BIPOLAR", "BINARY"]) if levels == 1 else "UINT2")
    graph = one(node, (2, 3, columns), (2, 3, rows), taken, given_)
    equal(graph, {"x": values(random, taken, (2, 2, 3, columns))})


@pytest.mark.parametrize("element", ["int8", "uint8", "int16", "uint16", "int32", "uint64", "int64"])
def test_any_integers_are_taken_and_8_bit_ones_are_compared_as_they_are(element: str) -> None:
    thresholds = np.sort(np.random.default_rng(0).integers(-1, 130, (70, 1)))
    graph = one(Thresholding("u", thresholds), (70,), (70,), datatype("UINT7"), datatype("BIPOLAR"))
    equal(graph, {"x": np.random.default_rng(1).integers(0, 128, (9, 70)).astype(element)})


@pytest.mark.parametrize("frames", [0, 1, 2, 3, 4, 7])
def test_batches_join_without_a_seam(monkeypatch: pytest.MonkeyPatch, frames: int) -> None:
    monkeypatch.setattr(fast, "BATCH", 3)
    equal(small_network(), {"x": np.random.default_rng(0).integers(0, 8, (frames, 8))})


def test_only_what_is_wanted_is_returned_by_default_the_outputs() -> None:
    graph, inputs = small_network(), {"x": np.random.default_rng(0).integers(0, 8, (5, 8))}
    prepared = fast.FastReference(graph)
    assert set(prepared.run(inputs)) == {"label", "logits"}
    assert set(prepared.run(inputs, ["mvau_0_o"])) == {"mvau_0_o"}


@dataclass(frozen=True, eq=False)
class _Twice(FIFO):
    """A unit from outside: it looks like a FIFO and computes something else."""

    def evaluate(self, inputs, ports):  # type: ignore[no-untyped-def]
        return {"o": np.minimum(2 * inputs["i"], 7)}


def test_a_unit_that_is_not_known_runs_its_own_evaluate() -> None:
    graph = one(_Twice("u"), (70,), (70,), datatype("UINT3"), datatype("UINT3"))
    x = np.random.default_rng(0).integers(0, 8, (3, 70))
    np.testing.assert_array_equal(fast.execute(graph, {"x": x})["y"], np.minimum(2 * x, 7))


def test_a_value_outside_a_table_is_the_same_error_as_in_the_plain_one() -> None:
    graph = one(Lookup("u", np.arange(4)[None], 0), (3,), (3,), datatype("UINT3"), datatype("UINT3"))
    for execute in (reference.execute, fast.execute):
        with pytest.raises(IndexError):
            execute(graph, {"x": np.array([[0, 1, 7]])})


@pytest.mark.parametrize("wrong", [{}, {"x": np.zeros((2, 7), np.int64)}, {"x": np.zeros((2, 8))}, {"x": np.full((1, 8), 9)}])
def test_it_refuses_what_the_plain_one_refuses(wrong: dict[str, Integers]) -> None:
    messages = []
    for execute in (reference.execute, fast.execute):
        with pytest.raises(InputError) as caught:
            execute(small_network(), wrong)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
