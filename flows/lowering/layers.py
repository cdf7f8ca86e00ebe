"""Builds the first dataflow graph of a network: a unit for each linear operator and each join, a Lookup for each region that was evaluated.

Lowering by evaluation: the integers that a unit gives are of a known range, so the float function behind it is evaluated at every one of
them. A fork stands at the last integers that its branches share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from arbonn.errors import LoweringError
from arbonn.flows.lowering import branches
from arbonn.flows.lowering.accumulate import append_linear, append_weights, refuse_large
from arbonn.flows.lowering.activation import Evaluated, poolings
from arbonn.flows.lowering.branches import Joints
from arbonn.flows.lowering.chain import Chain
from arbonn.flows.lowering.flow import Flow, held
from arbonn.flows.lowering.joins import Concatenation, Selection, Sum
from arbonn.flows.lowering.linear import Linear
from arbonn.flows.lowering.logits import EXACT, WIDEST, integer_logits, keeps_order
from arbonn.flows.lowering.network import Network
from arbonn.flows.lowering.points import Layer, Point
from arbonn.flows.lowering.segments import Segments
from arbonn.flows.lowering.spans import End, Span
from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import Integers, smallest
from arbonn.hw.graph import DataflowGraph, Endpoint, Stream
from arbonn.hw.units.label_select import LabelSelect


@dataclass(frozen=True, eq=False)
class Built:
    """A first graph. `points` are its integer points, each behind those that it depends on; `layers` its linear operators.

    order   where the elements of the file's input stand on the graph's.    logits  the file's tensor of logits; its order, by class.
    """

    graph: DataflowGraph
    network: Network
    order: Integers
    layers: tuple[Layer, ...]
    points: tuple[Point, ...]
    logits: str
    logit_scale: str
    notes: tuple[str, ...]


def build(segments: Segments, contract: InputContract, outputs: str, widest: int = WIDEST) -> Built:
    """The graph of a network's segments; `outputs` is `both`, `logits` or `label`. Raises LoweringError where values are on no grid."""
    return _Builder(segments, contract, widest).build(outputs)


class _Builder:
    """Walks the spans in their order: each one's source is put behind what earlier ones left `waiting` for it."""

    def __init__(self, segments: Segments, contract: InputContract, widest: int) -> None:
        self.segments, self.contract, self.widest = segments, contract, widest
        first = segments.spans[0]
        self.chain = Chain(Stream("x", first.places[first.start].frame, contract.dtype, 1))
        self.joints = Joints(self.chain)
        self.layers, self.notes, self.scale = list[Layer](), list[str](), ""
        self.settled = dict[str, tuple[Flow, Point]]()  # by linear operator
        self.parts = dict[tuple[str, int], Evaluated]()  # by input of a join
        self.picked = dict[tuple[str, int], Flow]()  # by output of a selection
        self.takers = {source.node: source for source in segments.sources if source is not None}
        self.selections = {(s.node, s.position): s for s in segments.sources if isinstance(s, Selection)}
        self.logits: Flow | None = None

    def build(self, outputs: str) -> Built:
        segments, chain = self.segments, self.chain
        for span, source in zip(segments.spans, segments.sources, strict=True):
            if span.ends:
                self.branch(self.start(span, source), span, span.ends)
        assert self.logits is not None
        tail = segments.tail
        if tail is not None:
            axis = "the greatest logit's class is `label`" if tail.op_type == "ArgMax" else "it keeps the order of the logits"
            self.notes.append(f"{tail.name} ({tail.op_type}) is left to the host: {axis}")
        chain.end = self.logits.end
        chain.vector()
        _ends(chain, outputs, (tail.name,) if tail is not None else ())
        graph = DataflowGraph(tuple(chain.nodes), tuple(chain.streams), self.contract)
        first = segments.spans[0]
        last = tail.input[0] if tail is not None else segments.network.output
        points = tuple(replace(point, at=_lasting(chain, end)) for point, end in self.joints.points)
        return Built(
            graph, segments.network, first.places[first.start].order, tuple(self.layers), points, last, self.scale, tuple(self.notes)
        )  # fmt: skip

    def start(self, span: Span, source: Linear | Sum | Concatenation | Selection | None) -> Flow:
        """The flow at a span's start."""
        if source is None:
            codes, channels = self.contract.codes(), self.chain.last.shape[-1]
            self.refuse(len(codes), channels, span)

            def values(levels: Integers) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
                found = self.contract.values(codes[held(levels, codes)])
                return np.broadcast_to(found[:, None], (len(levels), channels))

            return Flow(0, span.start, codes, np.full(channels, codes[0]), np.full(channels, codes[-1]), values)
        if isinstance(source, Linear):
            flow, point = self.settled.pop(source.node)
            self.chain.end = flow.end
            layer, flow = append_linear(self.chain, source, point, span.start, last=all(not e.node for e in span.ends))
            self.layers.append(layer)
            return flow
        if isinstance(source, Selection):
            return replace(self.picked.pop((source.node, source.position)), tensor=span.start)
        parts = [self.parts.pop((source.node, k)) for k in range(len(source.inputs))]
        if isinstance(source, Sum):
            return self.joints.sum(source, span.start, parts)
        return self.joints.concat(source, span.start, parts)

    def refuse(self, levels: int, channels: int, span: Span) -> None:
        refuse_large(levels, channels, branches.MOST_VALUES, span.ends[0].node or span.network.name)

    def branch(self, flow: Flow, span: Span, ends: Sequence[End]) -> None:
        """Leads a flow to all of the ends; forks it where their ways part."""
        if len(ends) == 1:
            self.deliver(flow, span, ends[0])
            return
        for tensor in span.shared(ends, flow.tensor):
            found = self.joints.shared(flow, span.between(flow.tensor, tensor), ends[0].node)
            if found is not None:
                flow = found[0]
                break
        groups = self.grouped(span, ends)
        self.chain.end = flow.end
        streams = self.chain.fork(len(groups)) if len(groups) > 1 else [flow.end]
        for (group, parts), end in zip(groups, streams, strict=True):
            own = replace(flow, end=end, unit=None)
            if parts:
                self.select(own, span, group)
            else:
                self.branch(own, span, group)

    def grouped(self, span: Span, ends: Sequence[End]) -> list[tuple[list[End], bool]]:
        """The ends of each branch; and whether these are selections of one tensor that together take each of its channels once."""
        result, picks = list[tuple[list[End], bool]](), dict[str, list[End]]()
        for group in span.groups(ends):
            if len(group) == 1 and (group[0].node, group[0].position) in self.selections:
                picks.setdefault(group[0].tensor, []).append(group[0])
            else:
                result.append((group, False))
        for tensor, found in picks.items():
            chosen = [self.selections[e.node, e.position] for e in found]
            whole = _partition(chosen, span.places[tensor].frame[-1])
            result += [(found, True)] if whole else [([e], False) for e in found]
        return result

    def select(self, flow: Flow, span: Span, ends: Sequence[End]) -> None:
        """A Split: all the selections of one tensor."""
        chosen = [self.selections[e.node, e.position] for e in ends]
        flow = self.at(flow, span, ends[0], chosen[0])
        for end, part in zip(ends, self.joints.split(flow, chosen), strict=True):
            self.picked[end.node, end.position] = part

    def at(self, flow: Flow, span: Span, end: End, selection: Selection) -> Flow:
        """The flow of a tensor of which channels are taken: its own integers, or those in front of it where it has no fewer bits."""
        region = span.between(flow.tensor, end.tensor)
        if any(selection.border) or poolings(region):
            found, point = self.joints.settled(flow, region, end.node)
            return self.joints.bordered(found, point, selection.border, end.node)
        shared = self.joints.shared(flow, region, end.node)
        if shared is not None:
            return shared[0]
        before = flow.values
        return replace(flow, tensor=end.tensor, values=lambda levels: region.evaluate(before(levels)), unit=None)

    def deliver(self, flow: Flow, span: Span, end: End) -> None:
        """Leads a flow to one end."""
        source = self.takers.get(end.node)
        if not end.node:
            self.end(flow, span, end)
        elif isinstance(source, Linear):
            self.settled[end.node] = self.joints.settled(flow, span.between(flow.tensor, end.tensor), end.node, source.pads)
        elif isinstance(source, Selection):
            self.picked[end.node, end.position] = self.pick(flow, span, end)
        else:
            self.parts[end.node, end.position] = self.joints.pending(flow, span.between(flow.tensor, end.tensor), end.node)

    def pick(self, flow: Flow, span: Span, end: End) -> Flow:
        """Some channels while others go nowhere: rows of one 1 each, in a unit of constant weights."""
        selection = self.selections[end.node, end.position]
        flow = self.at(flow, span, end, selection)
        self.chain.end, count = flow.end, flow.channels
        rows = np.eye(count, dtype=np.int64)[selection.channels]
        shape = self.chain.last.shape
        after = (*shape[:-1], len(rows))
        linear = Linear(end.node, end.tensor, rows.astype(np.float64), np.zeros(len(rows)), shape, after, np.arange(len(rows)))
        append_weights(self.chain, linear, rows, "dot")
        return replace(flow.of(selection.channels, self.chain.end), tensor=end.tensor)

    def end(self, flow: Flow, span: Span, end: End) -> None:
        """The logits: integers as they are where they order the classes as the float logits do, else a table of fixed-point numbers."""
        chain, region = self.chain, span.between(flow.tensor, end.tensor)
        pooled = poolings(region)
        if pooled:
            raise LoweringError(pooled[0].node, found="a maximum of logits", allowed="poolings between layers; averages anywhere")
        chain.end = flow.end
        where = chain.last.source.node if chain.last.source else "input"
        where = next((layer.linear.node for layer in self.layers if layer.unit == where), end.tensor)
        refuse_large(len(flow.levels), flow.channels, branches.MOST_VALUES, where)
        values, reached = region.evaluate(flow.values(flow.levels)), flow.reached
        order = span.places[end.tensor].order.reshape(-1)
        if keeps_order(values, np.broadcast_to(flow.levels[:, None], values.shape), reached):
            self.scale = "accumulator"
        else:
            exact = EXACT in region.network.metadata.items()
            logits = integer_logits(values, reached, where, self.widest, exact=exact)
            every = np.arange(flow.levels[0], flow.levels[-1] + 1)
            kind = smallest(int(logits.integers.min()), int(logits.integers.max()))
            chain.lookup(logits.integers[held(every, flow.levels)], kind, int(every[0]), tuple(n.name for n in region.nodes))
            self.scale = "rank" if logits.fraction is None else f"2^{-logits.fraction}"
            if logits.fraction is None:
                why = f": {self.widest} bits of fixed point do not keep the order" if self.widest else ""
                self.notes.append(f"{where}: logits are ranks of the float ones{why}")
        chain.shuffle(order, (end.tensor,))
        self.logits = replace(flow, end=chain.end)


def _partition(selections: Sequence[Selection], channels: int) -> bool:
    """True where the selections take each of the channels once, and more than one do."""
    taken = np.sort(np.concatenate([s.channels for s in selections])) if selections else np.zeros(0)
    same = all(s.border == selections[0].border and s.source == selections[0].source for s in selections)
    return 1 < len(selections) <= 16 and same and np.array_equal(taken, np.arange(channels))


def _lasting(chain: Chain, number: int) -> Endpoint:
    """A port on a stream of a unit that stays: of what joins or parts, else of what takes it, behind a width converter."""
    source, sink = chain.streams[number].source, chain.streams[number].sink
    if source is not None and (sink is None or source.node.startswith(("add_streams", "concat", "split"))):
        return source
    assert sink is not None
    if not sink.node.startswith("dwc"):
        return sink
    return _lasting(chain, next(k for k, s in enumerate(chain.streams) if s.source and s.source.node == sink.node))


def _ends(chain: Chain, outputs: str, origin: tuple[str, ...]) -> None:
    """Names the outputs: `logits`, `label` or both."""
    last = chain.last
    if outputs == "logits":
        chain.streams[chain.end] = replace(last, id="logits")
        return
    select = LabelSelect("label_select_0", logits=outputs == "both", origin=origin)
    chain.streams[chain.end] = replace(last, sink=Endpoint(select.id, "i"))
    chain.nodes.append(select)
    kind = smallest(0, last.shape[0] - 1)
    chain.streams.append(Stream("label", (1,), kind, 1, source=Endpoint(select.id, "label")))
    if outputs == "both":
        chain.streams.append(Stream("logits", last.shape, last.dtype, 1, source=Endpoint(select.id, "logits")))
