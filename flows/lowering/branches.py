"""Where flows part and meet: forks at the last integers that the branches share, sums, concatenations, selections of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from arbonn.errors import LoweringError
from arbonn.flows.lowering.accumulate import append_thresholds, refuse_large
from arbonn.flows.lowering.activation import (
    Evaluated,
    Quantized,
    append_lookup,
    append_poolings,
    evaluated,
    gridded,
    no_grid,
    poolings,
    quantize,
    shifted,
    straight,
)
from arbonn.flows.lowering.chain import Chain
from arbonn.flows.lowering.flow import Flow, line_values, sums, table_values
from arbonn.flows.lowering.grid import common_grids, on_grid
from arbonn.flows.lowering.joins import Border, Concatenation, Selection, Sum
from arbonn.flows.lowering.points import Point
from arbonn.flows.lowering.region import Region
from arbonn.hw.datatypes import Integers, datatype, smallest

MOST_TABLE = 1 << 22  # levels times channels of a table of activations, 32 MiB; beyond, only its steps are kept (`wide`)
MOST_VALUES = 1 << 25  # the same for what has to be a table: the input's codes, logits, what is pooled
UNIT = 2.0**-24  # unit roundoff of float32


class Joints:
    """Puts regions and joins on a chain; `points` collects the integer points on the way, each with the number of its stream."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.points: list[tuple[Point, int]] = []

    def settled(self, flow: Flow, region: Region, where: str, zero: bool = False) -> tuple[Flow, Point]:
        """The region's units: its integers as a flow of their own. Raises LoweringError for values on no grid."""
        if self._wide(flow, region):
            self.chain.end = flow.end
            found, point = append_thresholds(self.chain, flow, region, where, zero)
            self.points.append((point, found.end))
            return found, point
        self._refuse_large(flow, where)
        seen = evaluated(flow, region, where)
        chosen = straight(seen, self.chain.streams[flow.end].dtype, zero)
        if chosen is not None:
            return self.placed(seen, chosen, lookup=False)
        chosen = quantize(seen, zero)
        if chosen is None:
            raise no_grid(len(np.unique(seen.values)), where, zero or bool(seen.edges))
        return self.placed(seen, chosen, lookup=True)

    def shared(self, flow: Flow, region: Region, where: str) -> tuple[Flow, Point] | None:
        """The same where it gives fewer bits than the flow has, or needs no unit; else None."""
        given = self.chain.streams[flow.end].dtype
        try:
            if self._wide(flow, region):
                return self.settled(flow, region, where)
            self._refuse_large(flow, where)
            seen = evaluated(flow, region, where)
            chosen = straight(seen, given, zero=False)
            if chosen is not None:
                return self.placed(seen, chosen, lookup=False)
            chosen = quantize(seen, zero=False)
        except LoweringError:  # a branch by itself may still do
            return None
        if chosen is None or (chosen.dtype.bits >= given.bits and not poolings(region)):
            return None
        return self.placed(seen, chosen, lookup=True)

    def placed(self, seen: Evaluated, chosen: Quantized, *, lookup: bool) -> tuple[Flow, Point]:
        """The units of a region whose integers are chosen: a Lookup if one is needed, then its poolings."""
        chain, region = self.chain, seen.region
        chain.end = seen.flow.end
        if lookup:
            append_lookup(chain, seen, chosen)
        edge = append_poolings(chain, region, chosen)
        point = Point(region.end, chosen.step, chosen.base, chosen.deviation, region.orders[region.end], edge)
        self.points.append((point, chain.end))
        reached, integers = seen.flow.reached, chosen.integers
        levels, first = np.unique(integers[reached], return_index=True)
        low = np.where(reached, integers, levels[-1]).min(axis=0)
        high = np.where(reached, integers, levels[0]).max(axis=0)
        values = table_values(levels, np.repeat(seen.values[reached][first][:, None], len(low), axis=1))
        return Flow(chain.end, region.end, levels, low, high, values), point

    def bordered(self, flow: Flow, point: Point, border: Border, origin: str) -> Flow:
        """The flow with a border that a Pad has put round it, by a unit."""
        if not any(border):
            return flow
        self.chain.end = flow.end
        self.chain.pad(border, point.edge, (origin,))
        levels = np.union1d(flow.levels, [point.edge])
        exact = flow.values(levels)
        if point.edge not in flow.levels:
            exact[np.searchsorted(levels, point.edge)] = np.float32(point.base + point.step * point.edge)
        low, high = np.minimum(flow.low, point.edge), np.maximum(flow.high, point.edge)
        return Flow(self.chain.end, flow.tensor, levels, low, high, table_values(levels, exact))

    def pending(self, flow: Flow, region: Region, where: str) -> Evaluated:
        """A region in front of a join, which chooses the integers."""
        if self._wide(flow, region):
            flow, _ = self.settled(flow, region, where)
            region = replace(region, start=region.end, nodes=(), shape=region.after, spatials=())
        self._refuse_large(flow, where)
        return evaluated(flow, region, where)

    def sum(self, join: Sum, tensor: str, parts: Sequence[Evaluated]) -> Flow:
        """An AddStreams behind its branches, all brought to one step."""
        grids = common_grids([sign * part.every for sign, part in zip(join.signs, parts, strict=True)])
        if grids is None:
            raise LoweringError(
                join.node,
                found=f"branches that take {' and '.join(str(len(np.unique(p.values))) for p in parts)} values with no common step",
                allowed="a sum of branches that are integers times one scale each, in a ratio of small integers",
                fix="put quantizers of one scale in front of it, on each branch",
            )
        flows, base, deviation = list[Flow](), 0.0, 0.0
        for part, grid, sign, border, shuffle in zip(parts, grids, join.signs, join.borders, join.shuffles, strict=True):
            wanted = gridded(part, grid)
            direct = shifted(part, wanted, self.chain.streams[part.flow.end].dtype)
            chosen = direct or wanted
            own = replace(chosen, step=sign * chosen.step, base=sign * chosen.base)  # of the branch itself
            flow, point = self.placed(part, own, lookup=direct is None)
            flow = self.bordered(flow, point, border, join.node)
            if shuffle is not None:
                self.chain.end = flow.end
                self.chain.shuffle(shuffle, (join.node,))
                flow = replace(flow, end=self.chain.end, low=flow.low[shuffle], high=flow.high[shuffle])
            flows.append(flow)
            base, deviation = base + chosen.base, deviation + chosen.deviation
        step, levels = grids[0].step, sums([flow.levels for flow in flows])
        low, high = sum(flow.low for flow in flows), sum(flow.high for flow in flows)
        dtypes = [self.chain.streams[flow.end].dtype for flow in flows]
        self.chain.add([f.end for f in flows], smallest(sum(d.low for d in dtypes), sum(d.high for d in dtypes)), (join.node,))
        largest = max(abs(base + step * int(levels[0])), abs(base + step * int(levels[-1])))
        deviation += len(flows) * UNIT * (largest + sum(float(np.abs(part.values).max()) for part in parts))
        self.points.append((Point(tensor, step, base, deviation, join.place.order), self.chain.end))
        assert isinstance(low, np.ndarray)
        assert isinstance(high, np.ndarray)
        return Flow(self.chain.end, tensor, levels, low, high, line_values(step, base, low, high))

    def concat(self, join: Concatenation, tensor: str, parts: Sequence[Evaluated]) -> Flow:
        """A Concat behind its branches: on one grid where they are, else on one each."""
        whole = on_grid(np.concatenate([part.every for part in parts]))
        chosen = list[Quantized]()
        start = 0
        for part in parts:
            grid = on_grid(part.every) if whole is None else replace(whole, integers=whole.integers[start : start + part.every.size])
            start += part.every.size
            if grid is None:
                raise no_grid(len(np.unique(part.values)), join.node)
            chosen.append(gridded(part, grid))
        streams = [self.chain.streams[part.flow.end].dtype for part in parts]
        direct = [shifted(p, c, d, shift=whole is None) for p, c, d in zip(parts, chosen, streams, strict=True)]
        limits = [c.limits if d is None else (s.low, s.high) for c, d, s in zip(chosen, direct, streams, strict=True)]
        bipolar = all((c.dtype if d is None else s).name == "BIPOLAR" for c, d, s in zip(chosen, direct, streams, strict=True))
        dtype = smallest(min(least for least, _ in limits), max(most for _, most in limits))
        if bipolar and not any(any(border) for border in join.borders):
            dtype = datatype("BIPOLAR")
        flows = list[Flow]()
        for part, each, same, given, border in zip(parts, chosen, direct, streams, join.borders, strict=True):
            use = same if same is not None and given == dtype else None
            flow, point = self.placed(part, use or replace(each, kind=dtype), lookup=use is None)
            flows.append(self.bordered(flow, point, border, join.node))
        levels = flows[0].levels
        for flow in flows[1:]:
            levels = np.union1d(levels, flow.levels)
        self.chain.concat([flow.end for flow in flows], (join.node,))

        def values(wanted: Integers) -> NDArray[np.float32]:
            return np.concatenate([flow.values(wanted) for flow in flows], axis=1)

        ends = np.concatenate([flow.low for flow in flows]), np.concatenate([flow.high for flow in flows])
        return Flow(self.chain.end, tensor, levels, *ends, values)

    def split(self, flow: Flow, selections: Sequence[Selection]) -> list[Flow]:
        """A flow's channels by selection; together these take each of them once."""
        self.chain.end = flow.end
        order = np.concatenate([s.channels for s in selections])
        self.chain.shuffle(order, (selections[0].node,))
        ends = self.chain.split([len(s.channels) for s in selections], tuple(dict.fromkeys(s.node for s in selections)))
        return [flow.of(s.channels, end) for s, end in zip(selections, ends, strict=True)]

    def _wide(self, flow: Flow, region: Region) -> bool:
        return flow.unit is not None and len(flow.levels) * flow.channels > MOST_TABLE and not poolings(region)

    def _refuse_large(self, flow: Flow, where: str) -> None:
        refuse_large(len(flow.levels), flow.channels, MOST_VALUES, where)


__all__ = ["MOST_TABLE", "MOST_VALUES", "Joints"]
