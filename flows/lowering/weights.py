"""Float weights as the integers they stand for, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from arbonn.errors import LoweringError
from arbonn.flows.lowering.grid import on_grid
from arbonn.flows.lowering.linear import Linear
from arbonn.hw.datatypes import Integers, smallest

if TYPE_CHECKING:  # units import Amaranth, which a dry run has no need of
    from arbonn.hw.units.mvau import MVAU
    from arbonn.hw.units.vvau import VVAU

WEIGHT_BITS = 8


def integer_weights(linear: Linear) -> tuple[Integers, NDArray[np.float64]]:
    """Integers and a scale for each row with weights = scale * integers. Raises LoweringError for rows on no grid of few bits."""
    weights, scale = np.zeros(linear.weights.shape, np.int64), np.zeros(len(linear.weights))
    for row, values in enumerate(linear.weights):
        magnitudes = np.abs(values)
        if magnitudes.max() - magnitudes.min() <= 2.0**-22 * magnitudes.max() and magnitudes.max() > 0:
            weights[row], scale[row] = np.where(values > 0, 1, -1), magnitudes.mean()
            continue
        grid = on_grid(values, based=False)
        if grid is None or smallest(int(grid.integers.min()), int(grid.integers.max())).bits > WEIGHT_BITS:
            raise LoweringError(
                linear.node,
                found=f"row {row} has {len(np.unique(values))} weights that are no small integers times one scale",
                allowed=f"one magnitude a row (bipolar), or integers of at most {WEIGHT_BITS} bits times one scale a row",
                fix="train with quantized weights",
            )
        weights[row], scale[row] = grid.integers, grid.step
    if (np.abs(weights[scale != 0]) == 1).all():
        weights[(weights == 0).all(axis=1)] = 1  # a row of zeros beside bipolar ones: any sign, its scale is zero
        scale[(linear.weights == 0).all(axis=1)] = 0.0
    return weights, scale


def bipolar(weights: Integers) -> str:
    """The accumulator's domain that weights allow: popcount for bipolar ones."""
    return "popcount" if (np.abs(weights) == 1).all() else "dot"


def matrix_of(node: MVAU | VVAU) -> MVAU:
    """The rows of either unit, as an MVAU's."""
    from arbonn.hw.units.vvau import VVAU

    return node.rows if isinstance(node, VVAU) else node
