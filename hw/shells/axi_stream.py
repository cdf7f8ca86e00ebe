"""AXI4-Stream at both ends of an accelerator (Arm IHI 0051): a transfer of the graph is a beat.

TDATA   the transfer's payload in the low bits (lane 0 lowest, each element as its type stores it), padded with zeros to whole bytes;
        padding that comes in is not looked at.
TLAST   high with a frame's last beat. Going in it decides nothing, since a frame's length is known: one that is elsewhere, or missing, is
        told (`misplaced`), and beats go on being counted.
TKEEP   there is none, so every byte of every beat counts, as the standard says; nor are there TSTRB, TID, TDEST, TUSER.
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from arbonn.hw.graph import DataflowGraph, Endpoint, Stream
from arbonn.hw.units.fifo import FIFO


def beat_bytes(s: Stream) -> int:
    """Bytes of TDATA."""
    return (s.width + 7) // 8


def stream_signature(s: Stream) -> wiring.Signature:
    """AXI4-Stream for a stream of the graph, as its transmitter sees it."""
    return wiring.Signature({"tdata": Out(8 * beat_bytes(s)), "tvalid": Out(1), "tready": In(1), "tlast": Out(1)})


class _End(wiring.Component):
    """What both directions share: a position in the frame, counted in beats."""

    def __init__(self, s: Stream, members: dict[str, object]) -> None:
        self.stream = s
        super().__init__(members)

    def position(self, m: Module, transfer: Value) -> tuple[Value, Value]:
        """(first, last): the next transfer is a frame's first, its last."""
        beats = self.stream.transfers
        position = Signal(range(beats))
        last = Signal()
        m.d.comb += last.eq(position == beats - 1)
        with m.If(transfer):
            m.d.sync += position.eq(Mux(last, 0, position + 1))
        return position == 0, last


class StreamInput(_End):
    """From AXI4-Stream to a stream of the graph.

    Streams   axis: as `stream_signature`.    o: the payload. Nothing but wires lies between the two.
    Signals   begins: a frame's first beat is taken in this cycle.    misplaced: a beat whose TLAST is wrong is.
    """

    def __init__(self, s: Stream) -> None:
        members = {"axis": In(stream_signature(s)), "o": Out(stream.Signature(unsigned(s.width)))}
        super().__init__(s, {**members, "begins": Out(1), "misplaced": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        transfer = self.axis.tvalid & self.axis.tready
        first, last = self.position(m, transfer)
        m.d.comb += [self.o.payload.eq(self.axis.tdata), self.o.valid.eq(self.axis.tvalid), self.axis.tready.eq(self.o.ready)]
        m.d.comb += [self.begins.eq(transfer & first), self.misplaced.eq(transfer & (self.axis.tlast != last))]
        return m


class StreamOutput(_End):
    """From a stream of the graph to AXI4-Stream.

    Streams   i: the payload.    axis: as `stream_signature`. Nothing but wires lies between the two; TLAST comes from a counter.
    Signals   ends: a frame's last beat is taken in this cycle.
    """

    def __init__(self, s: Stream) -> None:
        super().__init__(s, {"i": In(stream.Signature(unsigned(s.width))), "axis": Out(stream_signature(s)), "ends": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        transfer = self.axis.tvalid & self.axis.tready
        _, last = self.position(m, transfer)
        m.d.comb += [self.axis.tdata.eq(self.i.payload), self.axis.tvalid.eq(self.i.valid), self.i.ready.eq(self.axis.tready)]
        m.d.comb += [self.axis.tlast.eq(last), self.ends.eq(transfer & last)]
        return m


def buffered(graph: DataflowGraph) -> DataflowGraph:
    """The graph with a FIFO of 2 words at each end: what the AXI shell is built from, and what its cycles are predicted from.

    AXI allows no path of gates from an input to an output of an interface. With valid and ready from registers on both sides there is
    none, at full rate.
    """
    nodes, streams = list(graph.nodes), []
    for s in graph.streams:
        if s.source and s.sink:
            streams.append(s)
            continue
        fifo = f"axi_{s.id}"
        taken, given = Endpoint(fifo, "i"), Endpoint(fifo, "o")
        inner = Stream(f"axi_{s.id}_inner", s.shape, s.dtype, s.lanes, s.source or given, s.sink or taken)
        streams += [inner, Stream(s.id, s.shape, s.dtype, s.lanes, s.source and given, s.sink and taken)]
        nodes.append(FIFO(fifo, 2))
    return graph.with_nodes(nodes, streams)
