"""MVAU, UnrolledMVAU and SparseMVAU: popcounts over pairs of bit planes, or products of integers where those are at hand and cost less."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from arbonn.hw.datatypes import DataType, Integers
from arbonn.hw.graph import Ports
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.sparse_mvau import SparseMVAU
from arbonn.hw.units.unrolled_mvau import UnrolledMVAU
from arbonn.sim import bits
from arbonn.sim.bits import WORD, Words
from arbonn.sim.forms.form import Step, form
from arbonn.sim.forms.levels import is_bit, leveled
from arbonn.sim.values import Values, weights_of_bits


@form(MVAU)
def mvau(node: MVAU, ports: Ports) -> Step:
    """Dots, then levels of the dots (thresholds are brought there once), or the dots as accumulators."""
    i, o = ports["i"], ports["o"]
    bipolar = i.dtype.name == node.weight_dtype.name == "BIPOLAR"
    dots = dots_of_bits(node) if bipolar else dots_of_any(node, i.dtype)
    if node.thresholds is None:
        return lambda inputs: {"o": Values(o, node.from_dot(dots(inputs["i"]).astype(np.int64, copy=False), i.dtype))}
    thresholds = np.stack([node.to_dot(column, i.dtype) for column in node.thresholds.T], axis=1)
    if not (bipolar and is_bit(o, thresholds, node.offset)):
        to_levels = leveled(thresholds, node.offset, o)
        return lambda inputs: {"o": to_levels(dots(inputs["i"]))}
    weights = blocked(node)
    most = np.full((len(weights), WORD), -1)  # neurons that fill the last block are never reached
    most.reshape(-1)[: node.rows] = (node.columns - thresholds[:, 0]) // 2  # dot = columns - 2 * bits that differ

    def to_bits(inputs: Mapping[str, Values]) -> Mapping[str, Values]:
        planes = inputs["i"].planes()
        made = np.empty((len(planes), 1, len(weights)), np.uint64)
        bits.differ_and_reach(planes, weights, most, made)
        return {"o": Values(o, planes=made)}

    return to_bits


@form(UnrolledMVAU)
def unrolled_mvau(node: UnrolledMVAU, ports: Ports) -> Step:
    """The values of the folded layer."""
    return mvau(node.folded, ports)


@form(SparseMVAU)
def sparse_mvau(node: SparseMVAU, ports: Ports) -> Step:
    """The values of the layer that knows nothing of connections."""
    return mvau(node.folded, ports)


Dots = Callable[[Values], NDArray[np.integer]]


def dots_of_bits(node: MVAU) -> Dots:
    """Bipolar times bipolar: columns - 2 * popcount(x XOR w)."""
    weights = blocked(node)

    def dots(given: Values) -> Integers:
        counts = np.empty((given.rows, node.rows), np.int64)
        bits.differ(given.planes(), weights, counts)
        return node.columns - 2 * counts

    return dots


def dots_of_any(node: MVAU, dtype: DataType) -> Dots:
    """By planes if the input has them; else by what takes fewer vector operations a neuron, packing included."""
    of_planes, of_integers = dots_of_planes(node, dtype), dots_of_integers(node, dtype)
    words, pairs = -(-node.columns // WORD), dtype.bits * node.weight_dtype.bits
    by_planes = 3 * pairs * words / 8 + node.columns * dtype.bits / node.rows
    by_integers = 2 * node.columns / (32 if most_of_dots(node, dtype) <= SHORT else 16)

    def dots(given: Values) -> NDArray[np.integer]:
        return of_planes(given) if given.packed or by_planes < by_integers else of_integers(given)

    return dots


def dots_of_planes(node: MVAU, dtype: DataType) -> Dots:
    """Sum over planes (cx_j x_j + zx) . (cw_b w_b + zw): popcounts of x_j AND w_b, of x_j alone, and a constant a neuron."""
    (x_bits, x_zero), (w_bits, w_zero) = weights_of_bits(dtype), weights_of_bits(node.weight_dtype)
    weights, pairs, alone = blocked(node), np.outer(x_bits, w_bits), w_zero * x_bits
    constant = np.zeros((len(weights), WORD), np.int64)
    constant.reshape(-1)[: node.rows] = x_zero * node.weights.sum(axis=1)

    def dots(given: Values) -> Integers:
        made = np.empty((given.rows, node.rows), np.int64)
        bits.multiply(given.planes(), weights, pairs, alone, constant, made)
        return made

    return dots


SHORT = 2**15 - 2  # the greatest size of a dot in 16 bits that leaves room for a threshold on either side


def most_of_dots(node: MVAU, dtype: DataType) -> int:
    """The greatest size that a dot or a part of it has."""
    return int(np.abs(node.weights).sum(axis=1).max()) * max(-dtype.low, dtype.high)


def dots_of_integers(node: MVAU, dtype: DataType) -> Dots:
    """Products in the narrowest type that holds every sum."""
    most = most_of_dots(node, dtype)
    element = np.int16 if most <= SHORT else np.int32 if most < 1 << 31 else np.int64
    rows = np.zeros((-(-node.rows // WORD) * WORD, node.columns), element)
    rows[: node.rows] = node.weights
    weights = np.ascontiguousarray(rows.reshape(-1, WORD, node.columns).swapaxes(1, 2))

    def dots(given: Values) -> NDArray[np.integer]:
        made = np.empty((given.rows, node.rows), element)
        bits.multiply_integers(given.integers(), weights, made)
        return made

    return dots


def blocked(node: MVAU) -> Words:
    """Weights as (blocks, planes, words, 64): 64 neurons side by side, for one word of channels."""
    dtype, blocks = node.weight_dtype, -(-node.rows // WORD)
    rows = np.zeros((blocks * WORD, dtype.bits, -(-node.columns // WORD)), np.uint64)
    bits.pack_values(np.ascontiguousarray(node.weights, dtype=np.int64), dtype.name == "BIPOLAR", rows[: node.rows])
    return np.ascontiguousarray(rows.reshape(blocks, WORD, *rows.shape[1:]).transpose(0, 2, 3, 1))
