"""Windows of convolutions and poolings, whatever attributes say them: `pads`, `auto_pad`, `ceil_mode`, one axis or two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from arbonn.flows.lowering.network import Array


@dataclass(frozen=True)
class Window:
    """Taps over an image (H, W, C), vertical before horizontal. padding: (top, left, bottom, right). A 1-D signal has H = 1."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns from a window's first tap to its last."""
        return self.dilation[0] * (self.kernel[0] - 1) + 1, self.dilation[1] * (self.kernel[1] - 1) + 1

    @property
    def is_point(self) -> bool:
        """True when each window is one pixel, and each pixel one window."""
        return self.taps == 1 and self.stride == (1, 1) and not any(self.padding)

    def output(self, shape: Sequence[int]) -> tuple[int, int]:
        """(OH, OW) for an image."""
        (eh, ew), (top, left, bottom, right) = self.extent, self.padding
        return (shape[0] + top + bottom - eh) // self.stride[0] + 1, (shape[1] + left + right - ew) // self.stride[1] + 1

    def covers(self, shape: Sequence[int]) -> bool:
        """True when the one window is the whole image."""
        return self.kernel == tuple(shape[:2]) and self.dilation == (1, 1) and not any(self.padding)

    def empty(self, shape: Sequence[int]) -> bool:
        """True when some window has no tap inside the image."""
        inside = self.gather(np.ones((1, *shape[:2], 1)), 0)
        return not bool(inside.any(axis=3).all())

    def gather(self, images: Array, value: float) -> Array:
        """Images (n, H, W, C) as windows (n, OH, OW, taps, C), padded by `value`."""
        top, left, bottom, right = self.padding
        height, width = self.output(images.shape[1:])
        padded = np.pad(images, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)
        rows = self.stride[0] * np.arange(height)[:, None] + self.dilation[0] * np.arange(self.kernel[0])
        columns = self.stride[1] * np.arange(width)[:, None] + self.dilation[1] * np.arange(self.kernel[1])
        taps = padded[:, rows[:, None, :, None], columns[None, :, None, :]]
        return taps.reshape(len(images), height, width, self.taps, -1)


def window_of(node: onnx.NodeProto, kernel: Sequence[int], before: Sequence[int], after: Sequence[int]) -> Window | str:
    """The window of a Conv or pooling node over an image of spatial sizes `before` that gives `after` (one size or two); else why not."""
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    axes = len(before)
    stride, dilation = attributes.get("strides", [1] * axes), attributes.get("dilations", [1] * axes)
    pads = list(attributes.get("pads", [0] * 2 * axes))
    begins, ends = list[int](), list[int]()
    for k in range(axes):
        extent = dilation[k] * (kernel[k] - 1) + 1
        # What the given output size needs; auto_pad and ceil_mode say no more than that.
        total = (after[k] - 1) * stride[k] + extent - before[k]
        auto = attributes.get("auto_pad", b"NOTSET")
        if auto in (b"SAME_UPPER", b"SAME_LOWER"):
            begin = max(0, total + (auto == b"SAME_LOWER")) // 2
        else:
            begin = pads[k] if auto == b"NOTSET" else 0
        begins.append(begin)
        ends.append(max(0, total - begin))
    if min(begins) < 0 or min(pads) < 0:
        return f"crops its input by pads {pads}"
    if axes == 1:
        return Window((1, kernel[0]), (1, stride[0]), (1, dilation[0]), (0, begins[0], 0, ends[0]))
    return Window(_pair(kernel), _pair(stride), _pair(dilation), (begins[0], begins[1], ends[0], ends[1]))


def _pair(values: Sequence[Any]) -> tuple[int, int]:
    return int(values[0]), int(values[1])
