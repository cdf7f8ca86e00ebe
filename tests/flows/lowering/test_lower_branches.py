"""Networks whose branches part and meet lower exactly: every integer point, joins too, equals the file's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.errors import LoweringError
from arbonn.flows.buffers import size_buffers
from arbonn.flows.lowering.lower import drawn_frames
from arbonn.flows.lowering.verify import verify
from arbonn.hw.units.add_streams import AddStreams
from arbonn.hw.units.shuffle import Shuffle
from tests.flows.branched import Branched, branched
from tests.flows.lowering.test_lower_conv import assert_equal_to_file, lowered
from tests.hw.units.test_units import assert_exact

CONTRACT = "uint4,scale=1/15"


@settings(max_examples=40)
@given(case=branched(), seed=st.integers(0, 99))
def test_graph_equals_the_file_under_the_tie_rule(case: tuple[onnx.ModelProto, str], seed: int) -> None:
    built, graph = lowered(*case)
    seen = verify(graph, built, drawn_frames(graph.contract, graph.inputs[0].elements, 8, seed))
    assert seen.mismatches == []
    assert seen.labels_equal + len({t.sample for t in seen.ties}) >= 8


def picture(channels: int = 4, bits: int = 3) -> Branched:
    """A convolution of an image, then few bits: where branches start."""
    b = Branched((2, 4, 4), 1)
    b.same(channels).norm()
    return b.quant(0.5, bits)


def f(b: Branched, channels: int, bits: int = 3) -> Branched:
    """sign -> convolution -> BatchNorm -> few bits, on the same grid."""
    b.activation("sign").same(channels).norm()
    return b.quant(0.5, bits)


def block(b: Branched) -> Branched:
    start = b.at
    return f(b, start[1][0]).add(start)


def two_blocks() -> Branched:
    return block(block(picture()).quant(0.5, 3))


def of_the_input() -> Branched:
    b = Branched((2, 4, 4), 1)
    start = b.at
    way = f(b, 3).at
    return f(b.back(start), 3, bits=2).add(way)


def pooled() -> Branched:
    b = picture()
    start = b.at
    way = b.activation("sign").window("MaxPool", (), 4, [3, 3], pads=[1, 1, 1, 1]).same(4).norm()
    assert isinstance(way, Branched)
    place = way.quant(0.5, 2).at
    return b.back(start).add(place)


def concat_of_three() -> Branched:
    b = picture()
    start = b.at
    first, second = f(b, 2).at, f(b.back(start), 3, bits=1).at
    return b.back(start).concat(first, second)


def split_then_concat() -> Branched:
    b = picture(6)
    low, middle, high = b.parts(1, 3, 2)
    return f(b.back(middle), 3).concat(high, low)


def shuffled() -> Branched:
    b = picture(6)
    left, right = b.shuffle(3).parts(3, 3)
    return f(b.back(left), 3).concat(right)


def reactnet() -> Branched:
    """RSign, binary convolution, BatchNorm, shortcut, RPReLU; then the channels are doubled by a copy of both ways."""
    b = picture()
    start, shift = b.at, (4, 1, 1)

    def half() -> Branched:
        b.back(start).then("Sub", (0.3 * b.random.normal(size=shift)).astype(np.float32))
        f(b, 4).add(start).then("Sub", b.random.normal(size=shift).astype(np.float32))
        b.then("PRelu", np.full(shift, 0.25, np.float32)).then("Add", b.random.normal(size=shift).astype(np.float32))
        return b.quant(0.5, 4)

    other = half().at
    return half().concat(other)


def dense_blocks() -> Branched:
    b = picture(2)
    for _ in range(2):
        start = b.at
        more = f(b, 2).at
        b.back(start).concat(more)
    return b


def nested() -> Branched:
    """A fork behind float values, of which one branch forks again, and a sum of sums."""
    b = Branched((2, 4, 4), 1)
    b.same(3).norm()
    start = b.at
    short = b.quant(0.5, 3).at
    b.back(start).then("Relu")
    b.quant(0.5, 2)
    inner = b.at
    left = f(b, 3).at
    f(b.back(inner), 3, bits=2).add(inner).add(left)
    return b.add(short, "Sub")


def one_of_two() -> Branched:
    """Channels that nobody takes."""
    b = picture(4)
    b.then("Slice", np.array([1]), np.array([3]), np.array([1]))
    b.size = (2, *b.size[1:])
    return f(b, 3)


def in_another_order() -> Branched:
    """x + shuffle(x): the branches differ in the order of channels only."""
    b = picture(6)
    start = b.at
    return b.shuffle(2).add(start)


def bordered(join: str) -> Branched:
    """A Pad on one branch in front of a join, where no window takes it in."""
    b = picture()
    start = b.at
    b.activation("sign").conv(4, [3, 3], pads=[2, 2, 2, 2]).norm()
    way = b.quant(0.5, 2).at
    b.back(start).pad([1, 1, 1, 1], 0.5)
    return b.add(way) if join == "Add" else b.concat(way)


def scales_in_a_ratio() -> Branched:
    b = picture()
    start = b.at
    b.activation("sign").same(4).norm()
    return b.quant(1.5, 2).add(start, "Sub")


def many_branches() -> Branched:
    b = picture(1)
    start, places = b.at, []
    for _ in range(18):
        places.append(f(b.back(start), 1, bits=1).at)
    b.back(places[0]).concat(*places[1:9])
    first = b.at
    return b.back(places[9]).concat(*places[10:]).concat(first)


ODD: dict[str, tuple[Callable[[], Branched], dict[str, int]]] = {
    "two residual blocks": (two_blocks, {"DuplicateStreams": 2, "AddStreams": 2}),
    "a fork of the input": (of_the_input, {"DuplicateStreams": 1, "AddStreams": 1}),
    "a pooling on one branch": (pooled, {"DuplicateStreams": 1, "AddStreams": 1, "MaxPool": 2}),
    "a concatenation of three": (concat_of_three, {"DuplicateStreams": 1, "Concat": 1}),
    "a split, then a concatenation": (split_then_concat, {"Split": 1, "Concat": 1, "Shuffle": 0, "DuplicateStreams": 0}),
    "a shuffle in front of a split": (shuffled, {"Split": 1, "Concat": 1, "Shuffle": 1}),
    "a ReActNet block": (reactnet, {"AddStreams": 2, "Concat": 1}),
    "dense blocks": (dense_blocks, {"DuplicateStreams": 2, "Concat": 2}),
    "forks in forks": (nested, {"DuplicateStreams": 2, "AddStreams": 3}),
    "channels that nobody takes": (one_of_two, {"Split": 0, "MVAU": 4}),
    "branches in another order": (in_another_order, {"Shuffle": 1, "AddStreams": 1}),
    "a border in a sum": (lambda: bordered("Add"), {"FMPadding": 1, "AddStreams": 1}),
    "a border in a concatenation": (lambda: bordered("Concat"), {"FMPadding": 1, "Concat": 1}),
    "scales in a ratio": (scales_in_a_ratio, {"AddStreams": 1}),
    "more branches than one fork has": (many_branches, {"DuplicateStreams": 2, "Concat": 3}),
}


@pytest.mark.parametrize("name", ODD)
def test_units(name: str) -> None:
    make, units = ODD[name]
    graph = assert_equal_to_file(make().quant(0.5, 4).flat().dense(3).model(), CONTRACT)
    kinds = [n.kind for n in graph.nodes]
    assert {kind: kinds.count(kind) for kind in units} == units


@pytest.mark.parametrize("both", [False, True])
def test_branches_meet_straight_in_front_of_the_logits(both: bool) -> None:
    """A sum of two layers of which one is the other's input; and logits of either side by side."""
    b = picture(1).flat()
    b.dense(3)
    assert isinstance(b, Branched)
    start = b.quant(0.5, 3).at
    b.activation("sign").dense(3)
    b.quant(0.5, 3).add(start)
    if both:
        b.concat(start)
    graph = assert_equal_to_file(b.model(), CONTRACT, 50)
    assert isinstance(graph.node("add_streams_0"), AddStreams)


def test_logits_in_another_order_are_shuffled() -> None:
    b = picture(1).flat()
    b.dense(4).then("Gather", np.array([2, 0, 3, 1]), axis=1)
    graph = assert_equal_to_file(b.model(), CONTRACT, 50)
    assert isinstance(graph.node("shuffle_0"), Shuffle)


def refused(b: Branched) -> str:
    with pytest.raises(LoweringError) as error:
        lowered(b.flat().dense(2).model(), CONTRACT)
    return str(error.value)


def test_a_branch_that_is_not_quantized_is_named_at_the_sum() -> None:
    b = picture()
    start = b.at
    b.activation("sign").same(4).norm()
    text = refused(b.add(start))
    assert text.startswith("LoweringError: add8: branches that take ")
    assert text.endswith(
        " values with no common step\n"
        "  allowed  a sum of branches that are integers times one scale each, in a ratio of small integers\n"
        "  fix      put quantizers of one scale in front of it, on each branch"
    )


def test_shapes_that_do_not_meet_are_refused() -> None:
    b = picture()
    start = b.at
    b.then("GlobalAveragePool").then("Quant", np.float32(0.5), np.float32(0), np.float32(3), signed=1, narrow=0, rounding_mode="ROUND")
    assert refused(b.add(start)) == (
        "LoweringError: net.onnx: add6 (Add) joins shapes (1, 4, 1, 1) and (1, 4, 4, 4): only equal ones can be\n"
        "  allowed  linear layers, sums and concatenations of branches, with element-wise operators between them\n"
        "  fix      export the network without these nodes"
    )


@pytest.mark.parametrize(("name", "stall"), [("two residual blocks", 0.4), ("a shuffle in front of a split", 0.0)])
def test_rtl_in_every_bit_and_cycle(name: str, stall: float) -> None:
    b = ODD[name][0]().quant(0.5, 2).flat()
    plain = assert_equal_to_file(b.dense(3).model(), CONTRACT)
    assert_exact(size_buffers(plain, {}), 2, stall, 1)
