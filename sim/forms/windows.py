"""Units that place pixels: SWG and FMPadding, by one table of which pixel stands where."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Ports
from arbonn.hw.units.fm_padding import FMPadding
from arbonn.hw.units.swg import SWG
from arbonn.sim import moves
from arbonn.sim.forms.form import Step, form
from arbonn.sim.values import Values, empty_planes, pixel_planes


@form(SWG)
def swg(node: SWG, ports: Ports) -> Step:
    (oh, ow), (kh, kw), (top, left, _, _) = node.windows(ports), node.kernel, node.padding
    rows = node.stride[0] * np.arange(oh)[:, None] + node.dilation[0] * np.arange(kh) - top
    columns = node.stride[1] * np.arange(ow)[:, None] + node.dilation[1] * np.arange(kw) - left
    taps = pixels_at(rows[:, None, :, None], columns[None, :, None, :], ports)
    return placed(taps.reshape(oh * ow, kh * kw), node.value, node.group or ports["i"].shape[-1], ports)


@form(FMPadding)
def fm_padding(node: FMPadding, ports: Ports) -> Step:
    (height, width, channels), (top, left, _, _) = ports["o"].shape, node.padding
    taps = pixels_at(np.arange(height)[:, None] - top, np.arange(width)[None] - left, ports)
    return placed(taps.reshape(-1, 1), node.value, channels, ports)


def pixels_at(rows: Integers, columns: Integers, ports: Ports) -> Integers:
    """Numbers of pixels in a frame of i, -1 outside."""
    height, width, _ = ports["i"].shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return np.where(inside, rows * width + columns, -1)


FEW = 16  # channels of a run that are quicker picked one by one


def placed(taps: Integers, value: int, group: int, ports: Ports) -> Step:
    """Pixels of i where `taps` (windows, taps) says, `value` at -1; planes stay planes, integers integers."""
    i, o = ports["i"], ports["o"]
    pixels, channels = i.shape[0] * i.shape[1], i.shape[2]
    border = pixel_planes(value, channels, o.dtype) if (taps < 0).any() else np.zeros((o.dtype.bits, -(-channels // 64)), np.uint64)

    table = None
    if group <= FEW:
        at = taps[:, None, :, None]
        elements = np.where(at < 0, -1, channels * at + np.arange(channels).reshape(-1, 1, group))
        table = elements.reshape(len(taps), -1).astype(np.int32)

    def step(inputs: Mapping[str, Values]) -> Mapping[str, Values]:
        given = inputs["i"]
        windows = given.rows // pixels * len(taps)
        if given.packed:
            planes = empty_planes(windows, o)
            moves.window_planes(given.widened(o.dtype), pixels, taps, border, group, channels, planes)
            return {"o": Values(o, planes=planes)}
        integers = given.integers()
        holds = np.int64 if integers.dtype == np.uint8 and value < 0 else integers.dtype
        made = np.empty((windows, o.shape[-1]), holds)
        if table is not None:
            moves.pick(integers.reshape(-1, pixels * channels), table, value, made)
        else:
            moves.window_integers(integers.reshape(-1, pixels, channels), taps, value, group, made)
        return {"o": Values(o, made)}

    return step
