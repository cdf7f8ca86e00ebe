"""LUT levels between the registers of a folded layer, and the stages that make them few enough for a clock.

A level is a LUT with the wires to it; an adder or a comparison is one, its carries counting nothing. A word out of block RAM takes as long
as `READ` levels. What a unit's control takes is not counted.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from amaranth.hdl import Const

from arbonn.hw.cmvm.stages import cut
from arbonn.hw.datatypes import DataType
from arbonn.hw.graph import Ports
from arbonn.hw.popcount import READ, Pipeline, height
from arbonn.hw.products import by_lanes
from arbonn.hw.units.mvau import DEPTHS, MVAU
from arbonn.hw.xnor_popcount import xnor_popcount


def stage_levels(node: MVAU, ports: Ports) -> tuple[int, ...]:
    """Levels of each stage from the second on: of the sum's, of the accumulator's, and from depth 4 on of the thresholds'."""
    (nf, sf), i = node.folds(ports), ports["i"]
    first, *rest = _sum_levels(node, i.lanes, i.dtype, 1 + max(0, node.depth - 4))
    found = [first + (READ if nf * sf > 1 else 0), *rest]
    compared = 0 if node.thresholds is None else 1 + (node.thresholds.shape[1] - 1).bit_length()
    if node.depth == DEPTHS[0]:
        return (*found, 1 + compared)
    return (*found, 1, compared + (READ if compared and nf > 1 else 0))


def _sum_levels(node: MVAU, lanes: int, dtype: DataType, stages: int) -> list[int]:
    """Levels of the sum of a transfer's products, in so many stages."""
    if node.primitives:
        netlists = [xnor_popcount(lanes, xor=dtype.signed and j == dtype.bits - 1) for j in range(dtype.bits)]
        joined = (dtype.bits - 1).bit_length()  # the planes, added behind the last
        return [max(cut(netlist, stages).levels for netlist in netlists) + joined * (k == stages - 1) for k in range(stages)]
    if node.domain == "dot" or by_lanes(lanes, dtype):
        products, adders = 1 + (node.domain == "dot"), (lanes - 1).bit_length()
    else:  # three products and a full adder: 6 inputs
        products, adders = (1 if node.lut_inputs == 6 else 2), height(dtype.bits, lanes, node.lut_inputs)
    cuts = sorted(Pipeline(None, Const(1), stages - 1, adders).cuts.elements(), reverse=True)
    ends = [adders, *cuts, 0]
    return [before - after + (products if k == 0 else 0) for k, (before, after) in enumerate(pairwise(ends))]


def pipelined(node: MVAU, ports: Ports, levels: int) -> MVAU:
    """The unit with the fewest stages (no fewer than it has) of which none has more levels; where there is none, with the shortest."""
    longest = {depth: max(stage_levels(replace(node, depth=depth), ports)) for depth in DEPTHS if depth >= node.depth}
    short = [depth for depth in longest if longest[depth] <= levels]
    chosen = short[0] if short else min(longest, key=lambda depth: longest[depth])
    return node if chosen == node.depth else replace(node, depth=chosen)
