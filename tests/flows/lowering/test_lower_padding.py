"""Padding by any value, wherever the file has it: in front of the quantizer or behind it, by a Pad or by the operator itself."""

from __future__ import annotations

import numpy as np
import pytest

from arbonn.errors import LoweringError
from arbonn.hw.units.swg import SWG
from tests.flows.images import Images
from tests.flows.lowering.test_lower_conv import assert_equal_to_file, lowered


def padded(value: float, own: int, activation: str = "sign") -> Images:
    b = Images((1, 4, 4), 9)
    b.conv(2, [1, 1]).activation(activation).pad([1, 1, 1, 1], value)
    b.conv(3, [3, 3], pads=[own] * 4).norm().activation("sign").then("Flatten")
    return b.dense(3)


@pytest.mark.parametrize(
    ("value", "own", "units"),
    [
        (1.0, 0, [("SWG", (1, 1, 1, 1), 1, "BIPOLAR")]),
        (-1.0, 0, [("SWG", (1, 1, 1, 1), -1, "BIPOLAR")]),
        (0.0, 0, [("SWG", (1, 1, 1, 1), 0, "TERNARY")]),
        (0.0, 1, [("SWG", (2, 2, 2, 2), 0, "TERNARY")]),  # one padding by the same value
        (1.0, 1, [("FMPadding", (1, 1, 1, 1), 1, "BIPOLAR"), ("SWG", (1, 1, 1, 1), 0, "TERNARY")]),
        (0.0, 2, [("FMPadding", (1, 1, 1, 1), 0, "TERNARY"), ("SWG", (2, 2, 2, 2), 0, "TERNARY")]),
    ],
)
def test_padding_of_bipolar_images(value: float, own: int, units: list[tuple[str, tuple[int, ...], int, str]]) -> None:
    graph = assert_equal_to_file(padded(value, own).model(), "uint4,scale=1/15")
    found = [
        (node.kind, node.padding, node.value, graph.ports(node)["o"].dtype.name)  # type: ignore[attr-defined]
        for node in graph.nodes
        if node.kind in ("SWG", "FMPadding") and any(node.padding)  # type: ignore[attr-defined]
    ]
    assert found == units


def test_padding_in_front_of_the_quantizer_holds_what_the_quantizer_makes_of_it() -> None:
    b = Images((1, 4, 4), 9)
    b.conv(2, [1, 1]).pad([0, 1, 1, 0], 0.9).activation("quant2").conv(2, [2, 2]).activation("sign").then("Flatten")
    graph = assert_equal_to_file(b.dense(3).model(), "uint4,scale=1/15")
    node = next(n for n in graph.nodes if isinstance(n, SWG))
    assert (node.padding, node.value) == ((0, 1, 1, 0), 1)


def test_a_border_counts_where_a_function_rises_or_falls() -> None:
    """|x| rises over what the layer gives, 0 .. 15, but the border is -20."""
    b = Images((1, 4, 4), 9)
    b.then("Identity").pad([1, 1, 1, 1], -20).window("MaxPool", (), 1, [2, 2]).then("Abs").then("Clip", np.float32(0), np.float32(31))
    with pytest.raises(LoweringError, match="maxpool2: a maximum of what neither rises nor falls behind it, in channel 0"):
        lowered(b.flat().dense(3).model(), "uint4")
    b = Images((1, 4, 4), 9)
    b.then("Identity").pad([1, 1, 1, 1], 20).window("MaxPool", (), 1, [2, 2]).then("Abs").then("Clip", np.float32(0), np.float32(31))
    assert_equal_to_file(b.flat().dense(3).model(), "uint4")


def test_a_border_is_mirrored_with_the_channels() -> None:
    b = Images((1, 4, 4), 9)
    b.conv(2, [1, 1]).pad([1, 1, 1, 1], 0.9).window("MaxPool", (), 2, [2, 2]).then("Neg")
    b.activation("quant2").conv(2, [2, 2]).activation("sign")
    graph = assert_equal_to_file(b.flat().dense(3).model(), "uint4,scale=1/15")
    node = next(n for n in graph.nodes if isinstance(n, SWG))
    assert (node.padding, node.value) == ((1, 1, 1, 1), 1)  # 0 behind the quantizer, whose integers here are 0 and 1


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_auto_pad(auto_pad: str) -> None:
    b = Images((2, 6, 8), 1)
    b.then("MaxPool", kernel_shape=[2, 2], strides=[1, 2], auto_pad=auto_pad)
    weights = b.weights(b.random.normal(size=(3, 2, 2, 3)).astype(np.float32), 2, np.float32(0.3))
    b.then("Conv", weights, strides=[2, 1], auto_pad=auto_pad).then("BipolarQuant", np.float32(1))
    assert_equal_to_file(b.flat().dense(3).model(), "uint3")


def test_ceil_mode_adds_rows_that_count_for_nothing() -> None:
    b = Images((2, 4, 5), 1)
    b.then("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    assert_equal_to_file(b.flat().dense(3).model(), "int3,scale=0.5")
