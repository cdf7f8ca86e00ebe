"""The compiled loops of the fast reference that move elements: windows of images, borders, poolings, parts of channels.

Planes are those of `arbonn.sim.bits`. Where pixels fill whole words, words are moved; else bits, up to 64 at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from arbonn.hw.datatypes import Integers
from arbonn.sim.bits import ONE, Words

ALL, LOW, SHIFT = np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64(63), np.uint64(6)


@njit(cache=True, inline="always")
def cut(words: Words, start: int, count: int) -> np.uint64:
    """`count` bits (1 .. 64) from bit `start` on."""
    first, offset = start >> 6, np.uint64(start & 63)
    found = words[first] >> offset
    if (start & 63) + count > 64:
        found |= words[first + 1] << (np.uint64(64) - offset)
    return found & (ALL >> np.uint64(64 - count))


@njit(cache=True, inline="always")
def put(words: Words, start: int, count: int, given: np.uint64) -> None:
    """ORs `count` bits (1 .. 64) in from bit `start` on."""
    first, offset = start >> 6, np.uint64(start & 63)
    words[first] |= given << offset
    if (start & 63) + count > 64:
        words[first + 1] |= given >> (np.uint64(64) - offset)


@njit(cache=True)
def move_bits(planes: Words, start: int, count: int, to: int, made: Words) -> None:
    """ORs `count` bits of every row and plane, from bit `start` on, into `made` from bit `to` on."""
    for row in range(len(planes)):
        for plane in range(planes.shape[1]):
            for k in range(0, count, 64):
                n = min(64, count - k)
                put(made[row, plane], to + k, n, cut(planes[row, plane], start + k, n))


@njit(cache=True)
def order_bits(planes: Words, order: Integers, made: Words) -> None:
    """Bit c of every row and plane of `made` (zeros before) becomes bit order[c]."""
    for row in range(len(planes)):
        for plane in range(planes.shape[1]):
            for c in range(len(order)):
                bit = (planes[row, plane, order[c] >> 6] >> np.uint64(order[c] & 63)) & ONE
                made[row, plane, c >> 6] |= bit << np.uint64(c & 63)


@njit(cache=True)
def window_planes(planes: Words, pixels: int, taps: Integers, border: Words, group: int, channels: int, made: Words) -> None:
    """Windows of images of so many pixels: taps (windows, taps) are pixels of the frame, -1 the `border` pixel (bits, words).

    Channels come as (channels / group, taps, group), as an SWG gives them.
    """
    whole = group == channels and channels & 63 == 0
    each = planes.shape[2]
    for frame in range(len(planes) // pixels):
        for window in range(len(taps)):
            row = frame * len(taps) + window
            for plane in range(planes.shape[1]):
                target = made[row, plane]
                if not whole:
                    target[:] = 0
                position = 0
                for first in range(0, channels, group):
                    for tap in range(taps.shape[1]):
                        at = taps[window, tap]
                        source = border[plane] if at < 0 else planes[frame * pixels + at, plane]
                        if whole:
                            for k in range(each):
                                target[tap * each + k] = source[k]
                        else:
                            for k in range(0, group, 64):
                                n = min(64, group - k)
                                put(target, position, n, cut(source, first + k, n))
                                position += n


@njit(cache=True)
def window_integers(values: NDArray[Any], taps: Integers, border: int, group: int, made: NDArray[Any]) -> None:
    """The same for integers (frames, pixels, channels)."""
    for frame in range(len(values)):
        for window in range(len(taps)):
            target = made[frame * len(taps) + window]
            position = 0
            for first in range(0, values.shape[2], group):
                for tap in range(taps.shape[1]):
                    at = taps[window, tap]
                    for c in range(group):
                        target[position + c] = values[frame, at, first + c] if at >= 0 else border
                    position += group


@njit(cache=True)
def pick(values: NDArray[Any], elements: NDArray[np.int32], border: int, made: NDArray[Any]) -> None:
    """Of each frame (elements,) those that a table (windows, elements) names, `border` at -1: quicker than runs of a few channels."""
    for frame in range(len(values)):
        for window in range(len(elements)):
            target = made[frame * len(elements) + window]
            for k in range(elements.shape[1]):
                at = elements[window, k]
                target[k] = values[frame, at] if at >= 0 else border


@njit(cache=True)
def any_tap(planes: Words, taps: int, group: int, channels: int, made: Words) -> None:
    """OR over the taps of windows (rows, 1, words) ordered as above, channel by channel."""
    words = made.shape[2]
    if group == channels and channels & 63 == 0:
        for row in range(len(planes)):  # by indices: a slice a row costs ten times as much as its words
            for k in range(words):
                found = planes[row, 0, k]
                for tap in range(1, taps):
                    found |= planes[row, 0, tap * words + k]
                made[row, 0, k] = found
        return
    for row in range(len(planes)):
        source, target = planes[row, 0], made[row, 0]
        target[:] = 0
        for tap in range(taps):
            for first in range(0, channels, group):
                for k in range(0, group, 64):
                    n = min(64, group - k)
                    put(target, first + k, n, cut(source, (first * taps) + tap * group + k, n))


@njit(cache=True)
def greatest_tap(values: NDArray[Any], made: Integers) -> None:
    """The greatest over the taps of (windows, groups, taps, group)."""
    for row in range(len(values)):
        for g in range(values.shape[1]):
            for c in range(values.shape[3]):
                made[row, g, c] = values[row, g, 0, c]
            for tap in range(1, values.shape[2]):
                for c in range(values.shape[3]):
                    made[row, g, c] = max(made[row, g, c], np.int64(values[row, g, tap, c]))


@njit(cache=True)
def weigh_taps(values: NDArray[Any], weights: Integers, made: Integers) -> None:
    """The sum over the taps of (windows, groups, taps, group), each times its weight (groups, taps, group)."""
    for row in range(len(values)):
        for g in range(values.shape[1]):
            for c in range(values.shape[3]):
                made[row, g, c] = 0
            for tap in range(values.shape[2]):
                for c in range(values.shape[3]):
                    made[row, g, c] += values[row, g, tap, c] * weights[g, tap, c]
