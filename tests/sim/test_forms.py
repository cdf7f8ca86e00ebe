"""Every unit's fast form equals its `evaluate`, from integers and from bit planes, alone and in joined graphs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.hw.datatypes import DataType, Integers, datatype, smallest
from arbonn.hw.graph import DataflowGraph, Node
from arbonn.hw.units.acc_pool import AccPool
from arbonn.hw.units.concat import Concat
from arbonn.hw.units.fm_padding import FMPadding
from arbonn.hw.units.label_select import LabelSelect
from arbonn.hw.units.max_pool import MaxPool
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.shuffle import Shuffle
from arbonn.hw.units.split import Split
from arbonn.hw.units.swg import SWG
from arbonn.sim import fast, reference
from arbonn.sim.forms.form import FORMS, step_of
from arbonn.sim.values import Values, flat
from tests.strategies import chains, seeds, types, values
from tests.strategies_images import UNITS, alone, blocks

WIDE = [63, 64, 65, 128, 130]  # on both sides of a word's edge


def equal_from_both(graph: DataflowGraph, random: np.random.Generator, frames: int) -> None:
    """The graph's one unit, from integers of each kind and from planes: results equal, as integers and as planes made of them."""
    (node,) = graph.nodes
    ports, step = graph.ports(node), step_of(node, graph.ports(node))
    inputs = {p: values(random, ports[p].dtype, (frames, *ports[p].shape)) for p in node.takes}
    wanted = node.evaluate(inputs, ports)
    for kind in ("int64", "octets", "planes"):
        given_ = {p: Values(ports[p], flat(x, ports[p])) for p, x in inputs.items()}
        if kind == "octets":
            given_ = {p: Values(ports[p], flat(octets(x), ports[p])) for p, x in inputs.items()}
        if kind == "planes":
            given_ = {p: Values(ports[p], planes=v.planes()) for p, v in given_.items()}
        for port, found in step(given_).items():
            np.testing.assert_array_equal(found.frames(), wanted[port], f"{kind}, {port}")
            again = Values(ports[port], flat(wanted[port], ports[port]))
            np.testing.assert_array_equal(found.planes(), again.planes(), f"planes of {kind}, {port}")  # nothing past the last channel


def octets(x: Integers) -> Integers:
    """The values in 8 bits where they fit: the caller's own type."""
    narrow = x.astype(np.uint8 if x.min(initial=0) >= 0 else np.int8)
    return narrow if (narrow == x).all() else x  # type: ignore[return-value]


def test_every_unit_has_a_fast_form() -> None:
    def kinds(base: type[Node]) -> set[type[Node]]:
        found = {base} if base.__module__.startswith("arbonn.hw.units.") and not getattr(base, "__abstractmethods__", None) else set()
        return found.union(*(kinds(one) for one in base.__subclasses__()))

    assert kinds(Node) == set(FORMS)


@pytest.mark.parametrize("kind", UNITS)
def test_a_unit_alone_equals_its_evaluate(kind: str) -> None:
    @settings(max_examples=40)
    @given(graph=UNITS[kind], frames=st.integers(1, 3), seed=seeds)
    def law(graph: DataflowGraph, frames: int, seed: int) -> None:
        equal_from_both(graph, np.random.default_rng(seed), frames)

    law()


@settings(max_examples=40)
@given(graph=blocks() | chains(), frames=st.integers(1, 3), seed=seeds)
def test_joined_graphs_equal_the_plain_reference_on_every_stream(graph: DataflowGraph, frames: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    inputs = {s.id: values(random, s.dtype, (frames, *s.shape)) for s in graph.inputs}
    wanted = reference.execute(graph, inputs)
    found = fast.execute(graph, inputs, list(wanted))
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name], name)


@st.composite
def wide(draw: st.DrawFn) -> DataflowGraph:
    """Units whose pixels fill, or just miss, whole words."""
    kind, c, dtype = draw(st.sampled_from(["SWG", "MaxPool", "AccPool", "FMPadding", "Concat", "Split", "Shuffle"])), *draw_pixel(draw)
    group, border = draw(st.sampled_from([0, *(g for g in (1, 5, 13, 32, 64, 65) if c % g == 0)])), int(dtype.every()[0])
    if kind == "SWG":
        return alone(
            SWG("u", (2, 3), 40, padding=(1, 1, 0, 0), value=border, group=group),
            {"i": ((2, 3, c), dtype, 1), "o": ((2, 2, 6 * c), dtype, 1)},
        )
    if kind == "FMPadding":
        return alone(FMPadding("u", (1, 0, 0, 2), border), {"i": ((2, 1, c), dtype, 1), "o": ((3, 3, c), dtype, 1)})
    if kind in ("MaxPool", "AccPool"):
        unit: Node = MaxPool("u", 4, group) if kind == "MaxPool" else AccPool("u", 4, group)
        given_ = dtype if kind == "MaxPool" else smallest(4 * dtype.low, 4 * dtype.high)
        return alone(unit, {"i": ((2, 4 * c), dtype, 1), "o": ((2, c), given_, 1)})
    if kind == "Shuffle":
        order = np.random.default_rng(draw(seeds)).permutation(c)
        return alone(Shuffle("u", order), {"i": ((2, c), dtype, c), "o": ((2, c), dtype, c)})
    d = draw(st.sampled_from(WIDE))
    whole, parts = ((2, c + d), dtype, 1), [((2, c), dtype, 1), ((2, d), dtype, 1)]
    if kind == "Split":
        return alone(Split("u", 2), {"i": whole, "o0": parts[0], "o1": parts[1]})
    return alone(Concat("u", 2), {"i0": parts[0], "i1": parts[1], "o": whole})


def draw_pixel(draw: st.DrawFn) -> tuple[int, DataType]:
    return draw(st.sampled_from(WIDE)), draw(types)


@settings(max_examples=40)
@given(graph=wide(), seed=seeds)
def test_pixels_at_the_edges_of_words(graph: DataflowGraph, seed: int) -> None:
    equal_from_both(graph, np.random.default_rng(seed), 2)


@settings(max_examples=40)
@given(columns=st.sampled_from([1, 4, 27, 70]), rows=st.sampled_from([1, 64, 65]), taken=types, held=types, seed=seeds)
def test_layers_of_integers_that_are_not_packed(columns: int, rows: int, taken: DataType, held: DataType, seed: int) -> None:
    """Whatever the costs say: products of integers and popcounts of planes are the same dots."""
    random = np.random.default_rng(seed)
    node = MVAU("u", values(random, held, (rows, columns)), held, "dot")
    low, high = node.accumulator_range(taken.low, taken.high, taken)
    streams = {"i": ((2, columns), taken, 1), "o": ((2, rows), smallest(int(low.min()), int(high.max())), 1)}
    equal_from_both(alone(node, streams), random, 3)
    cut = MVAU("u", node.weights, held, "dot", (low + (high - low) // 2)[:, None])
    equal_from_both(alone(cut, streams | {"o": ((2, rows), datatype("BIPOLAR"), 1)}), random, 3)


@settings(max_examples=40)
@given(seed=seeds, classes=st.integers(1, 70))
def test_the_first_of_equals_is_the_label(seed: int, classes: int) -> None:
    logits = datatype("INT3")
    label = ((1,), smallest(0, classes - 1), 1)
    streams = {"i": ((classes,), logits, 1), "label": label, "logits": ((classes,), logits, 1)}
    equal_from_both(alone(LabelSelect("u", True), streams), np.random.default_rng(seed), 4)
