"""Regions as units: a Lookup of what the file's own operators give at every integer, and the region's poolings behind it.

A pooling of floats and a rising function change places: max(g(a), g(b)) = g(max(a, b)), exactly, in float32 too. So every MaxPool of a
region works on the region's integers, few bits each, wherever the file has it. Where what follows the pooling falls, the integers of
that channel are mirrored in front of it and behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arbonn.errors import LoweringError
from arbonn.flows.lowering.chain import Chain
from arbonn.flows.lowering.grid import Grid, affine, on_grid
from arbonn.flows.lowering.linear import Linear
from arbonn.flows.lowering.region import Region, Spatial
from arbonn.hw.datatypes import DataType, Integers, datatype, smallest


@dataclass(frozen=True, eq=False)
class Quantized:
    """A region's values at its levels as integers: value = base + step * integer, but for `deviation`.

    integers  (levels, channels).    zero  the integer of the file's 0 (if it is asked for).    edges  of each border that a Pad adds.
    mirrored  for each pooling, the channels (channels,) whose least integer it has to find.
    """

    integers: Integers
    step: float
    base: float
    deviation: float
    zero: int
    edges: tuple[int, ...]
    mirrored: tuple[NDArray[np.bool_], ...]

    @property
    def limits(self) -> tuple[int, int]:
        """Least and greatest integer, those of borders included."""
        every = (int(self.integers.min()), int(self.integers.max()), *self.edges, self.zero)
        return min(every), max(every)

    @property
    def dtype(self) -> DataType:
        """The narrowest type; BIPOLAR may be padded by 0, which makes it TERNARY behind the padding."""
        grid = Grid(self.integers, self.step, self.base, self.deviation)
        if grid.dtype.name == "BIPOLAR" and self.limits == (-1, 1):
            return datatype("BIPOLAR")
        return smallest(*self.limits)


def poolings(region: Region) -> list[Spatial]:
    return [s for s in region.spatials if s.window is not None]


def edge_values(region: Region, channels: int, where: str) -> list[float]:
    """What each border holds at the end of the region. Raises LoweringError where that differs between channels."""
    result = []
    for spatial in region.spatials:
        if spatial.window is None:
            values = region.evaluate(np.full((1, channels), spatial.value, np.float32), begin=spatial.target)[0]
            if (values != values[0]).any():
                raise LoweringError(
                    spatial.node,
                    found=f"padding that becomes {len(np.unique(values))} different values in the channels of {where}'s input",
                    allowed="one value for all channels",
                    fix="pad behind the quantizer",
                )
            result.append(float(values[0]))
    return result


def directions(
    region: Region, traced: list[NDArray[np.float32]], integers: Integers, edges: Sequence[int]
) -> tuple[NDArray[np.bool_], ...]:
    """For each pooling the channels in which all that follows it falls. Raises LoweringError for one that neither rises nor falls.

    `traced`: what each pooling takes, (levels, channels); borders in front of it, which become the integers `edges`, count like levels.
    """
    result, borders = list[NDArray[np.bool_]](), list[Spatial]()
    given = iter(traced)
    for spatial in region.spatials:
        if spatial.window is None:
            borders.append(spatial)
            continue
        values = next(given)
        channels = values.shape[1]
        around = [region.trace(np.full((1, channels), b.value, np.float32), [spatial.source], begin=b.target)[0] for b in borders]
        order = np.argsort(np.concatenate([values, *around]), axis=0, kind="stable")
        every = np.concatenate([integers, *(np.full((1, channels), edge) for edge in edges[: len(borders)])])
        steps = np.diff(np.take_along_axis(every, order, axis=0), axis=0)
        rises, falls = (steps >= 0).all(axis=0), (steps <= 0).all(axis=0)
        if not (rises | falls).all():
            raise LoweringError(
                spatial.node,
                found=f"a maximum of what neither rises nor falls behind it, in channel {int(np.argmin(rises | falls))}",
                allowed="rising or falling functions between a pooling and the next layer",
                fix="quantize before the pooling",
            )
        turned = np.asarray(falls & ~rises)
        # A constant channel goes with the others: where all are turned, so is a border.
        result.append(np.asarray(falls) if turned.any() and not (rises & ~falls).any() else turned)
    return tuple(result)


def quantize(region: Region, start: NDArray[np.float32], after: str, zero: bool) -> Quantized:
    """The region at values (levels, channels) of its start; with `zero`, 0 has an integer too. Raises LoweringError for no grid."""
    *traced, values = region.trace(start, [*(s.source for s in poolings(region)), region.end])
    edges = edge_values(region, values.shape[1], after)
    extra = np.array([*edges, *([0.0] if zero else [])], np.float32)
    grid = on_grid(np.concatenate([values.reshape(-1), extra]))
    if grid is None:
        raise no_grid(len(np.unique(values)), after, zero or bool(edges))
    integers, rest = grid.integers[: values.size].reshape(values.shape), [int(n) for n in grid.integers[values.size :]]
    return Quantized(
        integers,
        grid.step,
        grid.base,
        grid.deviation,
        rest[-1] if zero else int(integers.flat[0]),
        tuple(rest[: len(edges)]),
        directions(region, traced, integers, rest),
    )


def straight(region: Region, codes: Integers, start: NDArray[np.float32], dtype: DataType, after: Linear) -> Quantized | None:
    """The codes on a stream of `dtype` as integers of the region's values, where no unit is needed for that.

    So it is where values are affine in codes, no pooling wants them mirrored, and what pads them is one of `dtype` too.
    """
    *traced, values = region.trace(start, [*(s.source for s in poolings(region)), region.end])
    found = affine(values, codes)
    if found is None:
        return None
    step, base, deviation = found
    integers = np.broadcast_to(codes[:, None], values.shape)
    exact = [(value - base) / step for value in (*edge_values(region, values.shape[1], after.node), *([0.0] if after.pads else []))]
    borders = [round(value) for value in exact]
    mirrored = directions(region, traced, integers, borders)
    if dtype.name == "BIPOLAR" and not mirrored:
        dtype = datatype("TERNARY")  # where an SWG pads by 0
    if any(abs(e - b) > 2.0**-18 for e, b in zip(exact, borders, strict=True)) or not dtype.allows(np.array(borders, np.int64)):
        return None
    if any(m.any() for m in mirrored):
        return None
    zero = borders.pop() if after.pads else int(codes[0])
    return Quantized(integers, step, base, deviation, zero, tuple(borders), mirrored)


def no_grid(values: int, where: str, padded: bool = False) -> LoweringError:
    return LoweringError(
        where,
        found=f"an input that takes {values} values on no common grid" + (" with what it is padded by" if padded else ""),
        allowed="a quantized input: integers times one scale for all channels",
        fix="put a quantizer with one scale in front of it",
    )


def append_lookup(chain: Chain, region: Region, found: Quantized, low: int) -> None:
    """The region's Lookup; its integers are mirrored for the first pooling."""
    table = _mirror(found, found.integers, found.mirrored[0]) if found.mirrored else found.integers
    chain.lookup(table, found.dtype, low, tuple(n.name for n in region.nodes if n.op_type != "MaxPool"))


def append_poolings(chain: Chain, region: Region, found: Quantized) -> int:
    """The region's poolings, behind integers that are mirrored for the first of them. Returns what a border at the region's end holds."""
    edges, edge, number, state = list(found.edges), 0, 0, found.mirrored[0] if found.mirrored else None
    pending = list[int]()
    for spatial in region.spatials:
        if spatial.window is None:
            pending.append(edges.pop(0))
            if len(set(pending)) > 1:
                raise LoweringError(spatial.node, found=f"borders of different integers ({pending}) on one image", allowed="one value")
            edge = pending[0]
            continue
        assert state is not None
        _turn(chain, found, state, found.mirrored[number], spatial.node)
        state, held = found.mirrored[number], edge if pending else 0
        if pending and state.any():
            turned = found.limits[0] + found.limits[1] - held
            if not state.all() and turned != held:
                raise LoweringError(
                    spatial.node,
                    found="a padded image whose channels partly fall behind the pooling",
                    allowed="padding behind the quantizer, or functions that all rise",
                )
            held = turned
        chain.max_pool(spatial.window, found.limits[0], spatial.padding, held, (spatial.node,))
        number, pending = number + 1, []
    if state is not None:
        _turn(chain, found, state, np.zeros_like(state), poolings(region)[-1].node)
    return edge if pending else 0


def _mirror(found: Quantized, integers: Integers, channels: NDArray[np.bool_]) -> Integers:
    return np.where(channels, found.limits[0] + found.limits[1] - integers, integers)


def _turn(chain: Chain, found: Quantized, before: NDArray[np.bool_], after: NDArray[np.bool_], origin: str) -> None:
    """Mirrors the channels in which `before` and `after` differ, by a Lookup."""
    if (before != after).any():
        every = np.arange(found.limits[0], found.limits[1] + 1)
        table = _mirror(found, every[:, None], before != after)
        if chain.last.dtype.name == "BIPOLAR":
            table[1] = table[0]  # 0 is no value: never looked up
        chain.lookup(table, chain.last.dtype, int(every[0]), (origin,))
