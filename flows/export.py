"""The RTL for others: Verilog, a self-checking SystemVerilog testbench and its vectors, which run with Icarus and no Python.

accelerator.v    the accelerator, module `arbonn`; its ports are listed in `arbonn.hw.accelerator`
testbench.sv     plays the vectors, compares every output transfer's payload and cycle, prints PASS or FAIL and the first difference
S.hex            for each stream S at an end: the payload of each transfer, a line each, in hex
S_cycles.hex     for each output S: the cycle of each transfer, in hex; cycle 0 is the first one out of reset
arbonn.core      the same for FuseSoC: `fusesoc --cores-root . run --target sim arbonn:user:arbonn`
README.txt       the line that runs it

With the AXI shell there is the shell's Verilog and what its host needs:

arbonn_axi.v     the accelerator in its shell, module `arbonn_axi`; its ports are listed in `arbonn.hw.shells.axi`
memory_map.json  registers, streams, and the windows of the tables of run-time parameters, as `arbonn.hw.shells.axi_map` says
parameters.txt   with run-time parameters: address and data of every write that loads this network, in hex, a line each, in order
P.hex            for each AXI4-Stream port P: TDATA of each beat, a line each, in hex
README.txt       how these go together
"""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from string import Template

from arbonn.files import write_text
from arbonn.flows.packaging.fusesoc import core
from arbonn.hw.accelerator import TOP as ACCELERATOR
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph, Stream
from arbonn.hw.graph_file import digest
from arbonn.hw.packing import pack
from arbonn.hw.parameters import runtime_units
from arbonn.hw.shells import axi_map
from arbonn.hw.shells.axi import axi_verilog
from arbonn.hw.shells.axi_stream import buffered
from arbonn.hw.verilog import to_verilog
from arbonn.sim.bench import MARGIN, expect

TOP = "testbench"
RUN = "iverilog -g2012 -s testbench -o testbench.vvp accelerator.v testbench.sv && vvp -n testbench.vvp"

INPUT = Template("""
    // Input $s: valid from the first cycle on, the next payload in the cycle after each transfer.
    logic [$width-1:0] ${s}_words [0:$last];
    integer ${s}_at = 0;
    wire ${s}_valid = !rst && ${s}_at < $count;
    wire ${s}_ready;
    wire [$width-1:0] ${s}_payload = ${s}_valid ? ${s}_words[${s}_at] : 'x;
    initial $$readmemh("$s.hex", ${s}_words);
    always @(posedge clk) if (${s}_valid && ${s}_ready) ${s}_at <= ${s}_at + 1;
""")

OUTPUT = Template("""
    // Output $s: always ready; each transfer has to come in its cycle with its payload.
    logic [$width-1:0] ${s}_words [0:$last];
    logic [31:0] ${s}_cycles [0:$last];
    integer ${s}_at = 0;
    wire ${s}_valid;
    wire [$width-1:0] ${s}_payload;
    initial begin
        $$readmemh("$s.hex", ${s}_words);
        $$readmemh("${s}_cycles.hex", ${s}_cycles);
    end
    always @(posedge clk) if (!rst && ${s}_valid !== 1'b0) begin
        transfers = transfers + 1;
        if (${s}_at >= $count) begin
            fail("$s", "a transfer too many");
        end else begin
            if (${s}_valid !== 1'b1 || ${s}_payload !== ${s}_words[${s}_at]) fail("$s", "another payload");
            if (cycle != ${s}_cycles[${s}_at]) fail("$s", "another cycle");
        end
        ${s}_at <= ${s}_at + 1;
    end
""")

BENCH = Template("""// Compares module `arbonn` with its network's reference and timing model: every output, bit for bit, cycle for cycle.
//     $run
`timescale 1ns/1ps
module $top;
    reg clk = 0, rst = 1;
    integer cycle = 0, transfers = 0, errors = 0;

    task fail(input string stream, input string what);
        begin
            if (errors == 0) $$display("FAIL: %s, cycle %0d: %s", stream, cycle, what);
            errors = errors + 1;
        end
    endtask
$streams
    arbonn dut(
        .clk(clk), .rst(rst),
$connections
    );

    always #5 clk = !clk;
    always @(posedge clk) if (!rst) cycle <= cycle + 1;

    initial begin
        repeat (3) @(posedge clk);
        @(negedge clk) rst = 0;
        repeat ($cycles) @(posedge clk);
        @(negedge clk);
$missing
        if (errors == 0) $$display("PASS: $frames frames, %0d output transfers in %0d cycles", transfers, cycle);
        else $$display("FAIL: %0d differences", errors);
        $$finish(0);
    end
endmodule
""")


def testbench(graph: DataflowGraph, counts: dict[str, int], cycles: int, frames: int) -> str:
    """The SystemVerilog text for so many transfers on each end."""

    def end(template: Template, s: Stream) -> str:
        return template.substitute(s=s.id, width=s.width, count=counts[s.id], last=counts[s.id] - 1)

    lines = [f".{s.id}__{part}({s.id}_{part})" for s in graph.inputs for part in ("payload", "valid", "ready")]
    lines += [f".{s.id}__{part}({s.id}_{part})" for s in graph.outputs for part in ("payload", "valid")]
    lines += [f".{s.id}__ready(1'b1)" for s in graph.outputs]
    lines += [f".load_{node.id}__{table}__en(1'b0)" for node in runtime_units(graph) for table in node.tables(graph.ports(node))]
    return BENCH.substitute(
        run=RUN,
        top=TOP,
        streams="".join([end(INPUT, s) for s in graph.inputs] + [end(OUTPUT, s) for s in graph.outputs]),
        connections=",\n".join(" " * 8 + line for line in lines),
        cycles=cycles,
        frames=frames,
        missing="\n".join(f'        if ({s.id}_at < {counts[s.id]}) fail("{s.id}", "transfers are missing");' for s in graph.outputs),
    )


def export(graph: DataflowGraph, codes: Integers, folder: Path) -> list[str]:
    """Writes everything for the frames `codes` into `folder`; the names of the files.

    Raises CheckError if the network's buffers deadlock.
    """
    expected = expect(graph, {graph.inputs[0].id: codes})
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"accelerator.v": to_verilog(Accelerator(graph), ACCELERATOR)}
    counts = {}
    for s in graph.inputs:
        words = pack(codes, s)
        counts[s.id] = len(words)
        texts[f"{s.id}.hex"] = "".join(f"{word:x}\n" for word in words)
    for s in graph.outputs:
        counts[s.id] = len(expected.payloads[s.id])
        texts[f"{s.id}.hex"] = "".join(f"{word:x}\n" for word in expected.payloads[s.id])
        texts[f"{s.id}_cycles.hex"] = "".join(f"{at:x}\n" for at in expected.transfers[s.id])
    texts["testbench.sv"] = testbench(graph, counts, expected.cycles + MARGIN, len(codes))
    version = importlib.metadata.version("arbonn")
    texts[f"{ACCELERATOR}.core"] = core(
        ACCELERATOR, version, digest(graph), ["accelerator.v"], "testbench.sv", sorted(name for name in texts if name.endswith(".hex"))
    )
    texts["README.txt"] = f"In this folder, with Icarus Verilog 11 or newer:\n\n    {RUN}\n"
    for name, text in texts.items():
        write_text(folder / name, text)
    return sorted(texts)


AXI_README = Template("""The module $module, an accelerator with AXI4-Stream ends and an AXI4-Lite port. One clock, aclk; aresetn is
active low and synchronous.

A frame is $beats beats on $source. The files $hex hold $frames frames and their results, a beat a line; TLAST goes with the last
beat of each frame, in and out. Sent without a pause after a reset, to sinks that are always ready, they leave CYCLES at $cycles.

memory_map.json has the registers, the shapes and types of the streams, and the tables that can be written.
$loading""")
LOADING = """
parameters.txt holds this network's parameters as writes to s_axi, in order, address and data in hex. The device starts with them.
Another network's parameters.txt loads that network, if both were lowered with --runtime-weights for the same hardware, which
`arbonn.hw.shells.axi_map.same_hardware` tells of two graphs. Load between frames. A reset keeps what is loaded.
"""


def export_axi(graph: DataflowGraph, codes: Integers, folder: Path) -> tuple[list[str], int]:
    """Writes the AXI shell and what its host needs into `folder`; the names of the files, and what CYCLES reads after the frames `codes`.

    Raises CheckError if the network's buffers deadlock.
    """
    found = axi_map.memory_map(graph)
    expected = expect(buffered(graph), {s.id: codes for s in graph.inputs})
    first, last = (expected.transfers[graph.inputs[0].id][0], max(expected.transfers[s.id][-1] for s in graph.outputs))
    texts = {f"{axi_map.TOP}.v": axi_verilog(graph), "memory_map.json": json.dumps(found.as_json(), indent=1) + "\n"}
    ports = (*found.inputs, *found.outputs)
    for port in ports:
        texts[f"{port.port}.hex"] = "".join(f"{word:0{2 * port.tdata_bytes}x}\n" for word in expected.payloads[port.stream])
    if found.windows:
        texts["parameters.txt"] = "".join(f"{address:08x} {data:08x}\n" for address, data in found.writes(graph))
    cycles, source = int(last - first), found.inputs[0]
    texts["README.txt"] = AXI_README.substitute(
        module=axi_map.TOP, beats=source.beats, source=source.port, hex=", ".join(f"{port.port}.hex" for port in ports),
        frames=len(codes), cycles=cycles, loading=LOADING if found.windows else "",
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_text(folder / name, text)
    return sorted(texts), cycles
