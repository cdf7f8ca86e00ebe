"""The accelerator assembled from a graph: its units, wired as the streams say."""

from __future__ import annotations

import importlib.metadata

from amaranth.hdl import Const, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from arbonn.hw.graph import DataflowGraph, Stream
from arbonn.hw.graph_file import digest
from arbonn.hw.parameters import load_signature, runtime_units

TOP = "arbonn"  # the Verilog module's name


class Accelerator(wiring.Component):
    """A graph as one component. The port names are a contract:

    clk, rst               one clock; synchronous reset, active high. Cycle 0 is the first one out of reset.
    <S>__payload/valid/ready   for each stream S that enters or leaves the graph.
    version                16 bits: major * 256 + minor of this package.    graph_hash: first 64 bits of the graph's digest.
    load_<U>__<T>__en/addr/data   for each table T of each unit U with run-time parameters: its write port (`arbonn.hw.parameters`).
    probe_<S>__payload/valid/ready   outputs for EVERY stream S, only with `probes`: what a bench watches. They change no cycle.
    """

    def __init__(self, graph: DataflowGraph, probes: bool = False) -> None:
        self.graph, self.probes = graph.verify(), probes
        members: dict[str, object] = {"version": Out(16), "graph_hash": Out(64)}
        members |= {s.id: In(stream.Signature(s.width)) for s in graph.inputs}
        members |= {s.id: Out(stream.Signature(s.width)) for s in graph.outputs}
        members |= {f"load_{node.id}": Out(load_signature(node, graph.ports(node))) for node in runtime_units(graph)}
        if probes:
            members |= {f"probe_{s.id}": Out(_probe(s)) for s in graph.streams}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        units = {}
        for node in self.graph.nodes:
            m.submodules[node.id] = units[node.id] = node.component(self.graph.ports(node))
        for node in runtime_units(self.graph):
            wiring.connect(m, wiring.flipped(getattr(self, f"load_{node.id}")), units[node.id].load)
        for s in self.graph.streams:
            source = units[s.source.node].port(s.source.port) if s.source else wiring.flipped(getattr(self, s.id))
            sink = units[s.sink.node].port(s.sink.port) if s.sink else wiring.flipped(getattr(self, s.id))
            wiring.connect(m, source, sink)
            if self.probes:
                probe = getattr(self, f"probe_{s.id}")
                m.d.comb += [probe.payload.eq(source.payload), probe.valid.eq(source.valid), probe.ready.eq(source.ready)]
        m.d.comb += [self.version.eq(Const(version_code(), 16)), self.graph_hash.eq(Const(int(digest(self.graph)[:16], 16), 64))]
        return m


def version_code() -> int:
    """This package's version as the device tells it: major * 256 + minor."""
    major, minor, *_ = importlib.metadata.version("arbonn").split(".")
    return int(major) * 256 + int(minor)


def _probe(s: Stream) -> wiring.Signature:
    return wiring.Signature({"payload": Out(s.width), "valid": Out(1), "ready": Out(1)})
