"""The compiled loops of the fast reference (`arbonn.sim.fast`): one channel a bit, 64 channels to a uint64, lowest channel lowest.

`rows` are all positions of all frames. Planes (rows, bits, words): plane j holds bit j of the stored codes; past the last channel it is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from arbonn.hw.datatypes import Integers

Words = NDArray[np.uint64]

WORD = 64
PAIRS, FOURS, OCTETS = (np.uint64(m) for m in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F))
ONES, GATHER = np.uint64(0x0101010101010101), np.uint64(0x0102040810204080)
ONE, TWO, FOUR, TOP = (np.uint64(n) for n in (1, 2, 4, 56))  # uint64 shifted by a Python int would become a float


@njit(cache=True, inline="always")
def popcount(word: np.uint64) -> np.int64:
    """Ones in a word; LLVM knows this form and makes it the processor's own instruction, vectorised."""
    pairs = word - ((word >> ONE) & PAIRS)
    fours = (pairs & FOURS) + ((pairs >> TWO) & FOURS)
    octets = (fours + (fours >> FOUR)) & OCTETS
    return np.int64((octets * ONES) >> TOP)


@njit(cache=True, inline="always")
def gather(flags: Words, first: int) -> np.uint64:
    """64 octets that are 0 or 1, as 8 words from `first` on, to the 64 bits of one word."""
    word = np.uint64(0)
    for octet in range(8):
        word |= ((flags[first + octet] * GATHER) >> TOP) << np.uint64(8 * octet)
    return word


@njit(cache=True)
def pack_values(values: NDArray[Any], bipolar: bool, planes: Words) -> None:
    """Integers (rows, channels) to planes."""
    rows, channels = values.shape
    flags = np.zeros(planes.shape[2] * WORD, np.uint8)
    words = flags.view(np.uint64)
    for row in range(rows):
        for plane in range(planes.shape[1]):
            for c in range(channels):
                code = np.int64(values[row, c])
                flags[c] = (((code + 1) >> 1) if bipolar else (code >> plane)) & 1
            for k in range(planes.shape[2]):
                planes[row, plane, k] = gather(words, 8 * k)


@njit(cache=True)
def unpack_values(planes: Words, coefficients: Integers, zero: int, values: Integers) -> None:
    """Planes to integers (rows, channels): zero + the sum of coefficient j times bit j."""
    for row in range(len(values)):
        for c in range(values.shape[1]):
            total = np.int64(zero)
            for plane in range(len(coefficients)):
                total += coefficients[plane] * np.int64((planes[row, plane, c >> 6] >> np.uint64(c & 63)) & ONE)
            values[row, c] = total


@njit(cache=True)
def reach_one(values: NDArray[Any], limits: NDArray[Any], planes: Words) -> None:
    """Integers (rows, channels) to one plane: values >= limits, a limit a channel."""
    rows, channels = values.shape
    flags = np.zeros(planes.shape[2] * WORD, np.uint8)
    words = flags.view(np.uint64)
    for row in range(rows):
        for c in range(channels):
            flags[c] = values[row, c] >= limits[c]
        for k in range(planes.shape[2]):
            planes[row, 0, k] = gather(words, 8 * k)


@njit(cache=True)
def reach_many(values: NDArray[Any], thresholds: Integers, offset: int, levels: Integers) -> None:
    """offset + how many thresholds (channels, T), rising, each value reaches: by halves, so 255 thresholds are 8 comparisons."""
    for row in range(len(values)):
        for c in range(values.shape[1]):
            low, high = 0, thresholds.shape[1]
            while low < high:
                middle = (low + high) >> 1
                if values[row, c] >= thresholds[c, middle]:
                    low = middle + 1
                else:
                    high = middle
            levels[row, c] = offset + low


@njit(cache=True)
def look_up(values: NDArray[Any], table: Integers, low: int, results: Integers) -> None:
    """table[channel or 0, value - low]; every value has to be in the table."""
    own = len(table) > 1
    for row in range(len(values)):
        for c in range(values.shape[1]):
            results[row, c] = table[c if own else 0, np.int64(values[row, c]) - low]


@njit(cache=True)
def first_greatest(values: NDArray[Any], labels: Integers) -> None:
    """The index of each row's greatest value, the lowest among equals."""
    for row in range(len(values)):
        best = 0
        for c in range(1, values.shape[1]):
            if values[row, c] > values[row, best]:
                best = c
        labels[row] = best


@njit(cache=True)
def multiply(planes: Words, weights: Words, pairs: Integers, alone: Integers, constant: Integers, dots: Integers) -> None:
    """Dots (rows, neurons). Weights (blocks of 64 neurons, planes, words, 64): a block stays in the nearest cache for all rows.

    A dot is the neuron's constant, plus alone[j] * popcount(x_j), plus pairs[j, b] * popcount(x_j AND w_b).
    """
    total, part = np.zeros(WORD, np.int64), np.zeros(WORD, np.int64)
    for block in range(len(weights)):
        here = min(WORD, dots.shape[1] - block * WORD)
        for row in range(len(planes)):
            for r in range(WORD):
                total[r] = constant[block, r]
            for j in range(planes.shape[1]):
                ones = np.int64(0)
                for k in range(planes.shape[2]):
                    ones += popcount(planes[row, j, k])
                for r in range(WORD):
                    total[r] += alone[j] * ones
                for b in range(weights.shape[1]):
                    for r in range(WORD):
                        part[r] = 0
                    for k in range(planes.shape[2]):
                        word = planes[row, j, k]
                        for r in range(WORD):
                            part[r] += popcount(word & weights[block, b, k, r])
                    factor = pairs[j, b]
                    for r in range(WORD):
                        total[r] += factor * part[r]
            for r in range(here):
                dots[row, block * WORD + r] = total[r]


@njit(cache=True)
def differ(planes: Words, weights: Words, counts: Integers) -> None:
    """Popcounts (rows, neurons) of x XOR w, for one plane of each."""
    count = np.zeros(WORD, np.int64)
    for block in range(len(weights)):
        here = min(WORD, counts.shape[1] - block * WORD)
        for row in range(len(planes)):
            for r in range(WORD):
                count[r] = 0
            for k in range(planes.shape[2]):
                word = planes[row, 0, k]
                for r in range(WORD):
                    count[r] += popcount(word ^ weights[block, 0, k, r])
            for r in range(here):
                counts[row, block * WORD + r] = count[r]


@njit(cache=True, inline="always")
def differ_in_four(planes: Words, row: int, weights: Words, k: int, r: int) -> np.int64:
    """Bits that differ in words k .. k + 3 of neuron r."""
    ones = popcount(planes[row, 0, k] ^ weights[k, r]) + popcount(planes[row, 0, k + 1] ^ weights[k + 1, r])
    return ones + popcount(planes[row, 0, k + 2] ^ weights[k + 2, r]) + popcount(planes[row, 0, k + 3] ^ weights[k + 3, r])


@njit(cache=True)
def differ_and_reach(planes: Words, weights: Words, most: Integers, reached: Words) -> None:
    """The same, and whether a row differs from a neuron (blocks, 64) in at most so many bits: one plane (rows, 1, blocks).

    Two rows and four words at once: each weight is fetched, and each count stored, less often.
    """
    count, other = np.zeros(WORD, np.int64), np.zeros(WORD, np.int64)
    flags = np.zeros(WORD, np.uint8)
    octets = flags.view(np.uint64)
    words = planes.shape[2]
    fours = words - words % 4
    for block in range(len(weights)):
        held = weights[block, 0]
        for row in range(0, len(planes), 2):
            second = min(row + 1, len(planes) - 1)
            for r in range(WORD):
                count[r] = 0
                other[r] = 0
            for k in range(0, fours, 4):
                for r in range(WORD):
                    count[r] += differ_in_four(planes, row, held, k, r)
                    other[r] += differ_in_four(planes, second, held, k, r)
            for k in range(fours, words):
                for r in range(WORD):
                    count[r] += popcount(planes[row, 0, k] ^ held[k, r])
                    other[r] += popcount(planes[second, 0, k] ^ held[k, r])
            for r in range(WORD):
                flags[r] = count[r] <= most[block, r]
            reached[row, 0, block] = gather(octets, 0)
            for r in range(WORD):
                flags[r] = other[r] <= most[block, r]
            reached[second, 0, block] = gather(octets, 0)


@njit(cache=True)
def multiply_integers(values: NDArray[Any], weights: NDArray[Any], dots: NDArray[Any]) -> None:
    """Dots (rows, neurons) of integers; weights (blocks, columns, 64) in the type of the dots, which has to hold every sum."""
    total = np.zeros(WORD, dots.dtype)
    columns = values.shape[1]
    fours = columns - columns % 4
    for block in range(len(weights)):
        w = weights[block]
        here = min(WORD, dots.shape[1] - block * WORD)
        for row in range(len(values)):
            for r in range(WORD):
                total[r] = 0
            for c in range(0, fours, 4):  # four columns at once: each total is stored less often
                x0, x1, x2, x3 = values[row, c], values[row, c + 1], values[row, c + 2], values[row, c + 3]
                for r in range(WORD):
                    total[r] += x0 * w[c, r] + x1 * w[c + 1, r] + x2 * w[c + 2, r] + x3 * w[c + 3, r]
            for c in range(fours, columns):
                for r in range(WORD):
                    total[r] += values[row, c] * w[c, r]
            for r in range(here):
                dots[row, block * WORD + r] = total[r]
