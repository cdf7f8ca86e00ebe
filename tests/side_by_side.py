"""Several graphs as one accelerator, side by side: one conversion to Verilog, one build and one run of a simulator serve them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph, Endpoint
from arbonn.sim.bench import MARGIN, Bench, expect
from arbonn.sim.native import NativeBench
from arbonn.sim.records import Breach, Comparison, compare
from arbonn.sim.trace import Stalls, Trace


@dataclass(frozen=True)
class SideBySide(DataflowGraph):
    """Graphs that share nothing but the clock; units and streams of graph k are called g<k>_<name>.

    Not a legal graph: its inputs are of several types. Each of its graphs is, and was verified.
    """

    def verify(self) -> SideBySide:
        return self


def side_by_side(graphs: Sequence[DataflowGraph]) -> SideBySide:
    nodes, streams = [], []
    for k, graph in enumerate(graphs):
        graph.verify()
        nodes += [replace(n, id=f"g{k}_{n.id}") for n in graph.nodes]
        for s in graph.streams:
            source, sink = (Endpoint(f"g{k}_{end.node}", end.port) if end else None for end in (s.source, s.sink))
            streams.append(replace(s, id=f"g{k}_{s.id}", source=source, sink=sink))
    return SideBySide(tuple(nodes), tuple(streams), graphs[0].contract)


@dataclass(frozen=True)
class Case:
    """A graph with what it is run on."""

    graph: DataflowGraph
    inputs: Mapping[str, Integers]
    stalls: Stalls


def run_cases(bench: Bench | NativeBench, name: str, cases: Sequence[Case]) -> list[Comparison]:
    """Runs the bench of `side_by_side` on every graph's frames and stalls, and compares each graph with what is expected of it alone."""
    expected = [expect(case.graph, case.inputs, case.stalls) for case in cases]
    inputs = {f"g{k}_{stream}": values for k, case in enumerate(cases) for stream, values in case.inputs.items()}
    go = {f"g{k}_{stream}": bits for k, case in enumerate(cases) for stream, bits in case.stalls.go.items()}
    cycles = max(trace.cycles for trace in expected) + MARGIN
    seen = bench.run(name, inputs, Stalls(go, 0.0, 0), cycles).seen()
    return [compare(trace, part_of(seen, k)) for k, trace in enumerate(expected)]


def part_of(trace: Trace, number: int) -> Trace:
    """One graph's share of what was seen, under its own names."""
    prefix = f"g{number}_"

    def own(name: str) -> bool:
        return name.startswith(prefix)

    breaches = [replace(b, stream=b.stream.removeprefix(prefix)) for b in map(Breach.parse, trace.violations) if own(b.stream)]
    return Trace(
        {name.removeprefix(prefix): at for name, at in trace.transfers.items() if own(name)},
        trace.cycles,
        {name.removeprefix(prefix): given for name, given in trace.payloads.items() if own(name)},
        tuple(map(str, breaches)),
    )
