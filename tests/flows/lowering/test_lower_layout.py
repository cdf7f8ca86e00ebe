"""Orders of elements and windows, by their definitions; and the whole text of what is said of networks on images that do not lower."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from arbonn.errors import LoweringError
from arbonn.flows.lowering.importer import import_model
from arbonn.flows.lowering.layers import build
from arbonn.flows.lowering.layout import as_image, from_stream, image_order, to_stream
from arbonn.flows.lowering.segments import cut
from arbonn.flows.lowering.window import Window
from arbonn.hw.contract import parse_contract
from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import Stream
from arbonn.hw.units.swg import SWG
from tests.flows.images import Images

shapes = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
borders = st.tuples(*[st.integers(0, 2)] * 4)


@given(shape=shapes, border=borders, seed=st.integers(0, 99))
def test_an_image_with_a_border_is_found_again(shape: tuple[int, int, int], border: tuple[int, int, int, int], seed: int) -> None:
    channels = np.random.default_rng(seed).permutation(shape[2])
    order = image_order(shape, channels)
    for c, y, x in np.ndindex(order.shape):
        assert order[c, y, x] == (y * shape[1] + x) * shape[2] + channels[c]
    top, left, bottom, right = border
    padded = np.pad(order, ((0, 0), (top, bottom), (left, right)), constant_values=-1)
    image = as_image(padded, shape)
    assert image
    assert (image.shape, image.border) == (shape, border)
    assert_array_equal(image.channels, channels)
    values = np.random.default_rng(seed).normal(size=(2, *padded.shape))
    streamed = to_stream(values, padded).reshape(2, *shape)
    for c, y, x in np.ndindex(order.shape):
        assert_array_equal(streamed[:, y, x, channels[c]], values[:, c, y + top, x + left])
    assert_array_equal(from_stream(streamed, order), values[:, :, top : top + shape[0], left : left + shape[1]])


@given(shape=shapes, swap=st.tuples(st.integers(0, 63), st.integers(0, 63)))
def test_what_is_no_image_is_none(shape: tuple[int, int, int], swap: tuple[int, int]) -> None:
    order = image_order(shape).copy()
    a, b = (k % order.size for k in swap)
    places = order.reshape(-1)
    places[[a, b]] = places[[b, a]]
    same_plane = a // (shape[0] * shape[1]) == b // (shape[0] * shape[1])
    one_pixel = shape[0] * shape[1] == 1  # then a swap is a permutation of channels
    assert (as_image(places.reshape(order.shape), shape) is None) == (a != b and (same_plane or not one_pixel))


@given(data=st.data(), shape=shapes)
def test_windows_are_the_unit_s(data: st.DataObject, shape: tuple[int, int, int]) -> None:
    kernel, stride, dilation = ((data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))) for _ in range(3))
    window = Window(kernel, stride, dilation)
    rows, columns = (st.integers(0, extent - 1) for extent in window.extent)
    padding = (data.draw(rows), data.draw(columns), data.draw(rows), data.draw(columns))
    window = Window(kernel, stride, dilation, padding)
    if min(window.output(shape)) < 1:
        return
    stream = Stream("i", shape, datatype("INT8"), 1)
    values = np.random.default_rng(0).integers(-128, 128, (2, *shape))
    unit = SWG("u", kernel, 1 << 20, stride, dilation, padding, 7)
    output = Stream("o", (*window.output(shape), window.taps * shape[2]), stream.dtype, 1)
    taps = window.gather(values, 7)
    assert_array_equal(taps.reshape(2, *output.shape), unit.evaluate({"i": values}, {"i": stream, "o": output})["o"])
    real = Window(kernel, stride, dilation, padding).gather(np.ones((1, *shape)), 0)[..., 0]
    assert window.empty(shape) == bool((real.sum(axis=3) == 0).any())


def chain(b: Images) -> str:
    """What cutting says of a network."""
    with pytest.raises(LoweringError) as error:
        cut(import_model(b.model(), "net.onnx"))
    return str(error.value)


def picture() -> Images:
    return Images((2, 4, 4), 0)


REFUSED: dict[str, Callable[[Images], object]] = {
    "pad0 (Pad) pads in mode 'reflect', not by a constant": lambda b: b.then("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1]), mode="reflect"),
    "pad0 (Pad) pads by [0, 0, -1, 0, 0, 0, 0, 0]: only rows and columns can be added": lambda b: b.then(
        "Pad", np.array([0, 0, -1, 0, 0, 0, 0, 0])
    ),
    "pad0 (Pad) pads shape (1, 2, 4, 4): only rows and columns of (batch, channels, ...) can be added": lambda b: b.then(
        "Pad", np.array([0, 1, 0, 0, 0, 0, 0, 0])
    ),
    "add0 (Add) has constants that differ within a channel": lambda b: b.then(
        "Add", np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4)
    ).conv(2, [1, 1]),
    "averagepool0 (AveragePool) averages 4 values in some windows and 9 in others": lambda b: b.then(
        "AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]
    ),
    "reducemean0 (ReduceMean) averages over axes [1] of shape (1, 2, 4, 4): only rows and columns of an image can be": lambda b: b.then(
        "ReduceMean", axes=[1]
    ),
    "maxpool0 (MaxPool) has windows of nothing but padding": lambda b: b.then(
        "MaxPool", kernel_shape=[2, 1], dilations=[5, 1], pads=[1, 0, 1, 0]
    ),
}


@pytest.mark.parametrize("found", REFUSED)
def test_nodes_that_do_not_lower(found: str) -> None:
    b = picture()
    REFUSED[found](b)
    b.flat().dense(2)
    assert chain(b) == (
        f"LoweringError: net.onnx: {found}\n"
        "  allowed  linear layers, sums and concatenations of branches, with element-wise operators between them\n"
        "  fix      export the network without these nodes"
    )


def test_all_problems_are_listed_at_once() -> None:
    b = picture()
    b.conv(2, [1, 1]).then("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    b.then("BipolarQuant", np.float32(1)).then("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1]), mode="edge")
    b.then("Add", np.arange(36, dtype=np.float32).reshape(6, 6)).then("BipolarQuant", np.float32(1))
    text = chain(b.flat().dense(2))
    assert [name for name in ("averagepool2", "pad4", "add5") if f"{name} (" in text] == ["averagepool2", "pad4", "add5"]
    assert text.count(" (") == 3


def built(b: Images, contract: str) -> str:
    with pytest.raises(LoweringError) as error:
        build(cut(import_model(b.model(), "net.onnx")), parse_contract(contract), "both")
    return str(error.value)


def test_padding_that_is_no_integer_of_the_layer() -> None:
    b = Images((1, 3, 3), 0)
    b.then("Add", np.float32(0.37123)).conv(2, [3, 3], pads=[1, 1, 1, 1]).activation("sign")
    assert built(b.flat().dense(2), "uint8") == (
        "LoweringError: conv2: an input that takes 256 values on no common grid with what it is padded by\n"
        "  allowed  a quantized input: integers times one scale for all channels\n"
        "  fix      put a quantizer with one scale in front of it"
    )


def test_a_pooling_of_what_neither_rises_nor_falls() -> None:
    b = Images((1, 3, 3), 0)
    b.conv(2, [1, 1]).window("MaxPool", (), 2, [2, 2]).activation("abs")
    assert built(b.flat().dense(2), "int4") == (
        "LoweringError: maxpool2: a maximum of what neither rises nor falls behind it, in channel 0\n"
        "  allowed  rising or falling functions between a pooling and the next layer\n"
        "  fix      quantize before the pooling"
    )


def test_padding_by_another_value_in_each_channel() -> None:
    b = Images((1, 3, 3), 0)
    b.conv(2, [1, 1]).pad([1, 1, 1, 1], 0.0).then("Add", np.array([[[0.5]], [[-0.5]]], np.float32)).activation("sign").conv(2, [2, 2])
    assert built(b.flat().dense(2), "int4") == (
        "LoweringError: pad2: padding that becomes 2 different values in the channels of conv6's input\n"
        "  allowed  one value for all channels\n"
        "  fix      pad behind the quantizer"
    )


def test_a_border_of_channels_that_partly_fall() -> None:
    b = Images((1, 3, 3), 0)
    b.conv(2, [1, 1]).pad([1, 1, 1, 1], 0.0).window("MaxPool", (), 2, [2, 2])
    b.then("Mul", np.array([[[1]], [[-1]]], np.float32)).activation("quant2")
    assert built(b.flat().dense(2), "int4") == (
        "LoweringError: maxpool3: a padded image whose channels partly fall behind the pooling\n"
        "  allowed  padding behind the quantizer, or functions that all rise"
    )


def test_logits_that_are_images() -> None:
    b = Images((1, 3, 3), 0)
    assert chain(b.conv(2, [1, 1])) == (
        "LoweringError: net.onnx: logits of shape (1, 2, 3, 3)\n  allowed  one number a class, in the order of the last layer's rows"
    )
