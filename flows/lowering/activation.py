"""Regions as units: a Lookup of what the file's own operators give at every integer, and the region's poolings behind it.

A pooling of floats and a rising function change places: max(g(a), g(b)) = g(max(a, b)), exactly, in float32 too. So every MaxPool of a
region works on the region's integers, few bits each, wherever the file has it. Where what follows the pooling falls, the integers of
that channel are mirrored in front of it and behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from arbonn.errors import LoweringError
from arbonn.flows.lowering.chain import Chain
from arbonn.flows.lowering.flow import Flow, held
from arbonn.flows.lowering.grid import Grid, affine, on_grid
from arbonn.flows.lowering.region import Region, Spatial
from arbonn.hw.datatypes import DataType, Integers, datatype, smallest


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A region at every level of a flow: what each pooling takes and what stands at the end, (levels, channels); what each border becomes.

    where  the node that takes it.
    """

    flow: Flow
    region: Region
    where: str
    traced: tuple[NDArray[np.float32], ...]
    values: NDArray[np.float32]
    edges: tuple[float, ...]

    @property
    def every(self) -> NDArray[np.float32]:
        """All values at the end, then those of the borders."""
        return np.concatenate([self.values.reshape(-1), np.array(self.edges, np.float32)])


@dataclass(frozen=True, eq=False)
class Quantized:
    """A region's values at its levels as integers: value = base + step * integer, but for `deviation`.

    integers  (levels, channels).    zero  the integer of the file's 0 (if it is asked for).    edges  of each border that a Pad adds.
    mirrored  for each pooling, the channels (channels,) whose least integer it has to find.    kind  a type that is asked for.
    """

    integers: Integers
    step: float
    base: float
    deviation: float
    zero: int
    edges: tuple[int, ...]
    mirrored: tuple[NDArray[np.bool_], ...]
    kind: DataType | None = None

    @property
    def limits(self) -> tuple[int, int]:
        """Least and greatest integer, those of borders included."""
        every = (int(self.integers.min()), int(self.integers.max()), *self.edges, self.zero)
        return min(every), max(every)

    @property
    def dtype(self) -> DataType:
        """The narrowest type; BIPOLAR may be padded by 0, which makes it TERNARY behind the padding."""
        if self.kind is not None:
            return self.kind
        grid = Grid(self.integers, self.step, self.base, self.deviation)
        if grid.dtype.name == "BIPOLAR" and self.limits == (-1, 1):
            return datatype("BIPOLAR")
        return smallest(*self.limits)


def poolings(region: Region) -> list[Spatial]:
    return [s for s in region.spatials if s.window is not None]


def evaluated(flow: Flow, region: Region, where: str) -> Evaluated:
    """The region at every level of the flow."""
    *traced, values = region.trace(flow.values(flow.levels), [*(s.source for s in poolings(region)), region.end])
    return Evaluated(flow, region, where, tuple(traced), values, tuple(edge_values(region, values.shape[1], where)))


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


def directions(found: Evaluated, integers: Integers, edges: Sequence[int]) -> tuple[NDArray[np.bool_], ...]:
    """For each pooling the channels in which all that follows it falls. Raises LoweringError for one that neither rises nor falls.

    Borders in front of a pooling, which become the integers `edges`, count like levels.
    """
    region, result, borders = found.region, list[NDArray[np.bool_]](), list[Spatial]()
    given = iter(found.traced)
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


def quantize(found: Evaluated, zero: bool) -> Quantized | None:
    """The values on the coarsest grid that holds them; with `zero`, 0 has an integer too. None where there is none."""
    grid = on_grid(np.concatenate([found.every, np.zeros(int(zero), np.float32)]))
    return None if grid is None else gridded(found, grid, zero)


def gridded(found: Evaluated, grid: Grid, zero: bool = False) -> Quantized:
    """The values on a grid, whose integers are those of `found.every`, then (`zero`) of 0."""
    integers = grid.integers[: found.values.size].reshape(found.values.shape)
    rest = [int(n) for n in grid.integers[found.values.size :]]
    edges = tuple(rest[: len(found.edges)])
    last = rest[-1] if zero else int(integers.flat[0])
    return Quantized(integers, grid.step, grid.base, grid.deviation, last, edges, directions(found, integers, rest))


def straight(found: Evaluated, dtype: DataType, zero: bool) -> Quantized | None:
    """The levels on a stream of `dtype` as integers of the region's values, where no unit is needed for that.

    So it is where values are affine in levels, no pooling wants them mirrored, and what pads them is one of `dtype` too.
    """
    levels, reached = found.flow.levels, found.flow.reached
    line = affine(found.values, levels, reached)
    if line is None or (poolings(found.region) and not reached.all()):
        return None
    step, base, deviation = line
    integers = np.broadcast_to(levels[:, None], found.values.shape)
    exact = [(value - base) / step for value in (*found.edges, *([0.0] if zero else []))]
    borders = [round(value) for value in exact]
    mirrored = directions(found, integers, borders)
    if dtype.name == "BIPOLAR" and not mirrored:
        dtype = datatype("TERNARY")  # where an SWG pads by 0
    if any(abs(e - b) > 2.0**-18 for e, b in zip(exact, borders, strict=True)) or not dtype.allows(np.array(borders, np.int64)):
        return None
    if any(m.any() for m in mirrored):
        return None
    last = borders.pop() if zero else int(levels[0])
    return Quantized(integers, step, base, deviation, last, tuple(borders), mirrored)


def shifted(found: Evaluated, wanted: Quantized, dtype: DataType, *, shift: bool = True) -> Quantized | None:
    """`wanted`, with the levels of a stream of `dtype` as integers, where these are the same but for a constant (0 unless `shift`)."""
    levels = found.flow.levels
    apart = (wanted.integers - levels[:, None])[found.flow.reached]
    by = int(apart[0])
    edges = tuple(edge - by for edge in wanted.edges)
    if (apart != by).any() or (by and not shift) or any(m.any() for m in wanted.mirrored) or not dtype.allows(np.array(edges, np.int64)):
        return None
    integers = np.broadcast_to(levels[:, None], wanted.integers.shape)
    return replace(wanted, integers=integers, base=wanted.base + wanted.step * by, edges=edges, zero=int(levels[0]))


def no_grid(values: int, where: str, padded: bool = False) -> LoweringError:
    return LoweringError(
        where,
        found=f"an input that takes {values} values on no common grid" + (" with what it is padded by" if padded else ""),
        allowed="a quantized input: integers times one scale for all channels",
        fix="put a quantizer with one scale in front of it",
    )


def append_lookup(chain: Chain, found: Evaluated, chosen: Quantized) -> None:
    """The region's Lookup at the chain's end; its integers are mirrored for the first pooling."""
    table = _mirror(chosen, chosen.integers, chosen.mirrored[0]) if chosen.mirrored else chosen.integers
    levels = found.flow.levels
    every = np.arange(levels[0], levels[-1] + 1)  # what never occurs holds what the level below gives
    origin = tuple(n.name for n in found.region.nodes if n.op_type != "MaxPool")
    chain.lookup(table[held(every, levels)], chosen.dtype, int(levels[0]), origin)


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
        state, kept = found.mirrored[number], edge if pending else 0
        if pending and state.any():
            turned = found.limits[0] + found.limits[1] - kept
            if not state.all() and turned != kept:
                raise LoweringError(
                    spatial.node,
                    found="a padded image whose channels partly fall behind the pooling",
                    allowed="padding behind the quantizer, or functions that all rise",
                )
            kept = turned
        chain.max_pool(spatial.window, found.limits[0], spatial.padding, kept, (spatial.node,))
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
