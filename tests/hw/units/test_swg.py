"""The SWG against windows gathered tap by tap, against torch's convolution, and against what its contract says of time and room."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from numpy.testing import assert_array_equal

from arbonn.errors import GraphError
from arbonn.hw.datatypes import Integers, datatype
from arbonn.hw.graph import DataflowGraph, Stream
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.swg import SWG
from arbonn.sim.reference import execute
from arbonn.sim.timing import figures, predict, step
from tests.graph_builder import GraphBuilder
from tests.strategies import seeds, values
from tests.strategies_images import alone, swgs


def gathered(node: SWG, image: Integers, out: Stream) -> Integers:
    """One frame's windows, one element at a time."""
    height, width, channels = image.shape
    group = node.group or channels
    found = []
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            for first in range(0, channels, group):
                for ky in range(node.kernel[0]):
                    for kx in range(node.kernel[1]):
                        row = y * node.stride[0] + ky * node.dilation[0] - node.padding[0]
                        column = x * node.stride[1] + kx * node.dilation[1] - node.padding[1]
                        inside = 0 <= row < height and 0 <= column < width
                        found += [image[row, column, c] if inside else node.value for c in range(first, first + group)]
    return np.array(found).reshape(out.shape)


@given(graph=swgs(), seed=seeds)
def test_windows_hold_the_taps_that_they_say(graph: DataflowGraph, seed: int) -> None:
    i, (node,) = graph.stream("i"), graph.nodes
    assert isinstance(node, SWG)
    image = values(np.random.default_rng(seed), i.dtype, i.shape)
    assert_array_equal(execute(graph, {"i": image[None]})["o"][0], gathered(node, image, graph.stream("o")))


@settings(max_examples=60)
@given(graph=swgs())
def test_time_is_as_documented(graph: DataflowGraph) -> None:
    (node,) = graph.nodes
    roomy = graph.with_nodes([node.sized(node.sizes(graph.ports(node))[-1])], graph.streams)
    i, o = graph.stream("i"), graph.stream("o")
    found = figures(roomy, predict(roomy, 12))
    assert found.first_out == 2
    assert found.interval == max(i.transfers, o.transfers)
    for any_size in (graph, roomy):  # no tap is given before its frame has begun
        asked, _ = step(any_size, {"i": 2 * i.transfers, "o": 3 * o.transfers}, None, 20 * (i.transfers + o.transfers))
        assert len(asked.transfers["o"]) == 2 * o.transfers


def same(kernel: int, dilation: int, size: int, channels: int, stride: int = 1, padding: int = -1) -> DataflowGraph:
    """A square image's SWG, one channel a transfer, padded so that stride 1 keeps the size unless told otherwise."""
    around = dilation * (kernel - 1) // 2 if padding < 0 else padding
    node = SWG("u", (kernel,) * 2, 1, (stride,) * 2, (dilation,) * 2, (around,) * 4)
    image = ((size, size, channels), datatype("UINT2"), 1)
    i = Stream("i", *image)
    node = node.sized(node.least_pixels({"i": i}))
    return alone(node, {"i": image, "o": ((*node.windows({"i": i}), kernel**2 * channels), *image[1:])})


@pytest.mark.parametrize(
    ("kernel", "dilation", "size", "channels"), [(3, 1, 8, 1), (3, 1, 16, 1), (3, 1, 8, 4), (3, 2, 16, 1), (5, 1, 16, 1)]
)
def test_the_least_buffer_keeps_the_rate_of_a_same_convolution(kernel: int, dilation: int, size: int, channels: int) -> None:
    graph = same(kernel, dilation, size, channels)
    assert graph.nodes[0].pixels == dilation * (kernel - 1) * (size + 1) + 1  # type: ignore[attr-defined]
    trace, frame = predict(graph, 4), graph.stream("o").transfers
    assert set(np.diff(trace.transfers["o"][frame - 1 :])) == {1}  # once the first frame has filled it, no bubble at all


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size", "least"),
    [(3, 2, 1, 16, 45), (3, 2, 1, 32, 93), (3, 1, 0, 16, 62), (2, 2, 0, 16, 33), (7, 2, 3, 32, 199)],
)
def test_other_shapes_need_as_much_as_was_measured(kernel: int, stride: int, padding: int, size: int, least: int) -> None:
    graph = same(kernel, 1, size, 1, stride, padding)
    (node,) = graph.nodes
    goal = max(graph.stream("i").transfers, graph.stream("o").transfers)

    def interval(pixels: int) -> float:
        sized = graph.with_nodes([node.sized(pixels)], graph.streams)
        return float(figures(sized, predict(sized, 10)).interval)

    assert interval(least) == goal
    assert least == node.sizes(graph.ports(node))[0] or interval(least - 1) > goal


@pytest.mark.parametrize("dtype", ["BIPOLAR", "UINT3"])
def test_swg_and_mvau_are_torchs_convolution(dtype: str) -> None:
    """Padded by zero: a BIPOLAR image becomes TERNARY, and the MVAU counts real pixels only."""
    random = np.random.default_rng(3)
    image, weights = values(random, datatype(dtype), (2, 6, 5, 3)), random.choice([-1, 1], (4, 3, 3, 2))  # NHWC; OIHW
    wanted = torch.nn.functional.conv2d(
        torch.tensor(image.transpose(0, 3, 1, 2), dtype=torch.float64),
        torch.tensor(weights, dtype=torch.float64),
        None,
        (2, 1),
        (1, 1),
        (1, 2),
    ).numpy()
    padded = datatype("TERNARY" if dtype == "BIPOLAR" else dtype)
    made = GraphBuilder(((6, 5, 3), datatype(dtype), 1))
    node = SWG("swg", (3, 2), 20, (2, 1), (1, 2), (1, 1, 1, 1))
    oh, ow = node.windows({"i": made.streams["x"]})
    windows = made.chain(node, "x", ((oh, ow, 18), padded, 1))
    mvau = MVAU("mvau", weights.transpose(0, 2, 3, 1).reshape(4, -1), datatype("BIPOLAR"))
    made.chain(mvau, windows, ((oh, ow, 4), datatype("UINT8"), 1))
    out = execute(made.graph(), {"x": image})["mvau_o"]
    assert_array_equal(mvau.to_dot(out, padded).transpose(0, 3, 1, 2), wanted)


GOOD = same(3, 1, 6, 4)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"padding": (1, 3, 1, 1)}, "padding (1, 3, 1, 1) of windows that span 3 x 3 (less allowed; an FMPadding in front can add any)"),
        ({"pixels": 14}, "a buffer of 14 pixels (15 .. 2^24 allowed)"),
        ({"kernel": (9, 9)}, "windows that span 9 x 9 in an image of 8 x 8"),
        ({"kernel": (3, 2)}, "o (6, 6, 36) for windows of shape (6, 7, 24)"),
        ({"group": 3}, "i by 1 and o by 1 lanes, group 3 of 4 channels (lanes divide the group, it divides C)"),
        ({"value": 7}, "padding by 7 in UINT2"),
        ({"stride": (0, 1)}, "kernel (3, 3), stride (0, 1), dilation (1, 1), padding (1, 1, 1, 1)"),
        ({"depth": 2}, "depth 2 (1 allowed)"),
    ],
)
def test_what_is_not_legal_is_said(change: dict[str, object], problem: str) -> None:
    (node,) = GOOD.nodes
    assert isinstance(node, SWG)
    with pytest.raises(GraphError) as caught:
        GOOD.with_nodes([replace(node, **change)], GOOD.streams).verify()  # type: ignore[arg-type]
    assert caught.value.found == f"u (SWG): {problem}"
