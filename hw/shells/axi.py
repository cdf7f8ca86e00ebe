"""The AXI shell: an accelerator with AXI4-Stream ends and an AXI4-Lite port, for AMD's tools and any other system that speaks AXI.

Its Verilog has the names of the standard, so that Vivado infers the interfaces:

    aclk, aresetn          the one clock; reset, active low, synchronous
    s_axis_*, m_axis_*     AXI4-Stream (`axi_stream`); s_axis_<stream>_*, m_axis_<stream>_* where the graph has several of a kind
    s_axi_*                AXI4-Lite (`axi_lite`) with the registers and the tables of `axi_map`
    interrupt              high as long as STATUS.DONE is set and CONTROL.INTERRUPT allows it
"""

from __future__ import annotations

from amaranth.hdl import ClockDomain, Module, ResetInserter, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arbonn.hw.accelerator import Accelerator
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.shells.axi_lite import AxiLite, lite_signature
from arbonn.hw.shells.axi_map import TOP, memory_map
from arbonn.hw.shells.axi_registers import AxiRegisters
from arbonn.hw.shells.axi_stream import StreamInput, StreamOutput, buffered, stream_signature
from arbonn.hw.verilog import ports_to_verilog


class AxiShell(wiring.Component):
    """The accelerator of `graph` with its shell, in the domain `sync`.

    Ports     s_axi, interrupt, and a stream for each end of the graph, named as in `memory_map(graph)`.
    Timing    that of `buffered(graph)`: the shell adds a FIFO of 2 words at each end and nothing else.
    Reset     drops every frame, also in the middle, on every stream; tables keep what was loaded. CONTROL.RESET does the same from
              the cycle after its response is valid; a TVALID of an output may fall with it, so reset the other side of the streams too.
    """

    def __init__(self, graph: DataflowGraph) -> None:
        self.graph = graph.verify()
        self.map = memory_map(graph)
        members: dict[str, object] = {"s_axi": In(lite_signature(self.map.address_bits)), "interrupt": Out(1)}
        members |= {end.port: In(stream_signature(graph.stream(end.stream))) for end in self.map.inputs}
        members |= {end.port: Out(stream_signature(graph.stream(end.stream))) for end in self.map.outputs}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.axi_lite = lite = AxiLite(self.map.address_bits)
        m.submodules.registers = registers = AxiRegisters(self.graph, self.map)
        wiring.connect(m, wiring.flipped(self.s_axi), lite.bus)
        wiring.connect(m, lite.write, registers.write)
        wiring.connect(m, lite.read, registers.read)
        m.d.comb += self.interrupt.eq(registers.interrupt)

        cleared = ResetInserter(registers.clear)
        accelerator = Accelerator(buffered(self.graph))
        m.submodules.accelerator = cleared(accelerator)
        for unit in registers.tables:
            wiring.connect(m, getattr(registers, f"load_{unit}"), getattr(accelerator, f"load_{unit}"))
        begins: list[Value] = []
        misplaced: list[Value] = []
        for end in self.map.inputs:
            source = StreamInput(self.graph.stream(end.stream))
            m.submodules[end.port] = cleared(source)
            wiring.connect(m, wiring.flipped(getattr(self, end.port)), source.axis)
            wiring.connect(m, source.o, getattr(accelerator, end.stream))
            begins.append(source.begins)
            misplaced.append(source.misplaced)
        for number, end in enumerate(self.map.outputs):
            sink = StreamOutput(self.graph.stream(end.stream))
            m.submodules[end.port] = cleared(sink)
            wiring.connect(m, getattr(accelerator, end.stream), sink.i)
            wiring.connect(m, sink.axis, wiring.flipped(getattr(self, end.port)))
            m.d.comb += registers.ends[number].eq(sink.ends)
        # Of several inputs the first says when a frame begins.
        m.d.comb += [registers.begins.eq(begins[0]), registers.misplaced.eq(sum(misplaced[1:], misplaced[0]) != 0)]
        return m


def axi_verilog(graph: DataflowGraph) -> str:
    """Verilog of the shell with the accelerator in it, module `TOP`."""
    shell = AxiShell(graph)
    buses = ["s_axi", *(end.port for end in (*shell.map.inputs, *shell.map.outputs))]
    # Vivado finds the buses by their names, but not which clock they belong to.
    aclk = Signal(attrs={"X_INTERFACE_PARAMETER": f"ASSOCIATED_BUSIF {':'.join(buses)}, ASSOCIATED_RESET aresetn"})
    aresetn = Signal()
    m = Module()
    m.domains.sync = domain = ClockDomain()
    m.d.comb += [domain.clk.eq(aclk), domain.rst.eq(~aresetn)]
    m.submodules.shell = shell
    ports = {"_".join(map(str, path)): Value.cast(value) for path, _, value in shell.signature.flatten(shell)}
    return ports_to_verilog(m, TOP, {"aclk": aclk, "aresetn": aresetn, **ports})
