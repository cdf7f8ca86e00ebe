"""The Verilog bench around an accelerator: plays recorded stimulus and stalls, and writes down every transfer on every stream.

One text for all simulators, driven from files in the folder where the simulator runs, so one compiled bench serves any number of
frames, cycles and stall patterns (nothing is sized at compile time):

    +cycles=N       cycles to run, 0 .. N-1; cycle 0 is the first one out of reset
    +dump_from=K    from cycle K on, dump waves to the file `waves`
    S.stim          payloads of input stream S, ceil(width / 8) octets each, highest first
    S.go            stall pattern of an end S, one bit a cycle, first cycle in the highest bit, in blocks of 32 octets; then always 1
    S.rec           out: one record a transfer on S, in 32-bit words of the host's order: the cycle, then the payload from its low word on
    violations      out: a line `cycle stream rule` for each breach: numbers in the order of `observed` and `RULES`; at most 1000 lines

Simulation in bulk (the clock and all of this in HDL, Python waits for `done` only) is what makes it fast. While valid is low an input's
payload is unknown: X in a four-state simulator, drawn at random in Verilator. A design that looks at it anyway is found out.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import Template

from arbonn.hw.graph import DataflowGraph, Stream

TOP = "arbonn_bench"
ACCELERATOR = "arbonn"
GO_BITS = 256  # stall bits read at once
BUFFERED = 32  # records written at once: formatting costs Verilator more than the transfer itself

RULES = (
    "valid fell before the transfer",
    "the payload changed before the transfer",
    "valid or ready is X",
    "a transferred payload has X bits",
)

# A two-state simulator folds the comparisons with X away.
STREAM = Template("""
    wire [$width-1:0] ${s}__payload;
    wire ${s}__valid, ${s}__ready;
    reg [$width-1:0] ${s}__was;
    reg ${s}__held = 0;
    reg [$buffer-1:0] ${s}__buffer;
    integer ${s}__file, ${s}__count = 0;
    always @(posedge clk) if (running) begin
        if (${s}__valid & ${s}__ready) begin
            ${s}__buffer[${s}__count * $record +: $record] = {$pad${s}__payload, cycle};
            ${s}__count = ${s}__count + 1;
            if (${s}__count == $buffered) begin
                $$fwrite(${s}__file, "%u", ${s}__buffer);
                ${s}__count = 0;
            end
            if ((^${s}__payload) === 1'bx) breach($number, 3);
        end
        if ((^{${s}__valid, ${s}__ready}) === 1'bx) breach($number, 2);
        if (${s}__held & !${s}__valid) breach($number, 0);
        if (${s}__held & ${s}__valid & (${s}__payload !== ${s}__was)) breach($number, 1);
        ${s}__held = ${s}__valid & !${s}__ready;
        ${s}__was = ${s}__payload;
    end
""")

# Within the blocks that use it, since a block of its own would race with them.
NEXT_GO = """if (${s}__at == $go_bits - 1)
            if ($$fread(${s}__pattern, ${s}__pattern_file) == 0) ${s}__pattern = {$go_bits{1'b1}};
        ${s}__go = ${s}__pattern[${s}__at];
        ${s}__at = (${s}__at == 0) ? $go_bits - 1 : ${s}__at - 1;"""
END = """
    reg [$go_bits-1:0] ${s}__pattern;
    reg ${s}__go;
    integer ${s}__pattern_file, ${s}__at = $go_bits - 1;"""

# Files are read into a temporary: read into the register itself, the design would see the next payload at the edge that takes this one.
SOURCE = Template(
    END
    + """
    reg [$octets*8-1:0] ${s}__word, ${s}__read;
    reg ${s}__pending = 0, ${s}__more, ${s}__taken;
    integer ${s}__stimulus;
    assign ${s}__valid = ${s}__pending;
    assign ${s}__payload = ${s}__pending ? ${s}__word[$width-1:0] : {$width{1'bx}};
    always @(posedge clk) if (playing) begin
        ${s}__taken = ${s}__pending & ${s}__ready;
        if (${s}__taken) begin
            ${s}__more = $$fread(${s}__read, ${s}__stimulus) != 0;
            ${s}__word <= ${s}__read;
        end
        """
    + NEXT_GO
    + """
        ${s}__pending <= (${s}__pending & !${s}__taken) | (${s}__more & ${s}__go);
    end
"""
)

SINK = Template(
    END
    + """
    reg ${s}__open = 0;
    assign ${s}__ready = ${s}__open;
    always @(posedge clk) if (playing) begin
        """
    + NEXT_GO
    + """
        ${s}__open <= ${s}__go;
    end
"""
)

BENCH = Template("""`timescale 1ns/1ps
module $top;
    reg clk = 0, rst = 1, playing = 0, running = 0, done = 0;
    reg [31:0] cycle = 0;
    integer cycles, dump_from, breaches = 0, violations, k;

    task breach(input integer stream, input integer rule);
        begin
            if (breaches < 1000) $$fwrite(violations, "%0d %0d %0d\\n", cycle, stream, rule);
            breaches = breaches + 1;
        end
    endtask

    $accelerator dut(
        .clk(clk), .rst(rst),
$connections
    );
$streams
    always @(posedge clk) if (running) cycle <= cycle + 1;

    initial begin
        if (!$$value$$plusargs("cycles=%d", cycles)) cycles = 0;
        if (!$$value$$plusargs("dump_from=%d", dump_from)) dump_from = -1;
        violations = $$fopen("violations", "w");
$open
        repeat (3) begin #1 clk = 1; #1 clk = 0; end
        playing = 1;  // the edge that ends the reset already shows the ends' first values
        #1 clk = 1;
        #1 clk = 0; rst = 0; running = 1;
        for (k = 0; k < cycles; k = k + 1) begin
            if (k == dump_from) begin $$dumpfile("waves"); $$dumpvars(0, $top); end
            #1 clk = 1;
            #1 clk = 0;
        end
        running = 0;
$close
        $$fclose(violations);
        done = 1;
    end
endmodule
""")


def record_words(width: int) -> int:
    """32-bit words of one record: the cycle and the payload."""
    return 1 + (width + 31) // 32


def observed(graph: DataflowGraph, *, probes: bool = True) -> list[Stream]:
    """The streams a bench watches, producers before consumers: all, or those at the ends only."""
    rank = {node.id: k for k, node in enumerate(graph.ordered())}
    streams = graph.streams if probes else (*graph.inputs, *graph.outputs)
    return sorted(streams, key=lambda s: rank[s.source.node] if s.source else -1)


def bench_verilog(graph: DataflowGraph, *, probes: bool = True) -> str:
    """The bench module `TOP` for the accelerator of `graph`; without `probes` it watches the graph's inputs and outputs only."""
    streams = observed(graph, probes=probes)
    inner = [s for s in streams if s.source and s.sink]
    return BENCH.substitute(
        top=TOP,
        accelerator=ACCELERATOR,
        connections=_connections(graph, inner),
        streams="".join(_stream(s, k) for k, s in enumerate(streams)),
        open="".join(f"        {line}\n" for s in streams for line in _open(s)),
        close="".join(f"        {line}\n" for s in streams for line in _close(s)),
    )


def _connections(graph: DataflowGraph, inner: Sequence[Stream]) -> str:
    names = [(s.id, s.id) for s in (*graph.inputs, *graph.outputs)] + [(f"probe_{s.id}", s.id) for s in inner]
    return ",\n".join(f"        .{port}__{part}({stream}__{part})" for port, stream in names for part in ("payload", "valid", "ready"))


def _stream(stream: Stream, number: int) -> str:
    record = 32 * record_words(stream.width)
    spare = record - 32 - stream.width
    fields = {
        "s": stream.id,
        "number": number,
        "width": stream.width,
        "record": record,
        "buffered": BUFFERED,
        "buffer": BUFFERED * record,
        "pad": f"{spare}'d0, " if spare else "",
        "octets": (stream.width + 7) // 8,
        "go_bits": GO_BITS,
    }
    return "".join(part.substitute(fields) for part in _parts(stream))


def _parts(stream: Stream) -> list[Template]:
    if stream.source is None:
        return [STREAM, SOURCE]
    return [STREAM, SINK] if stream.sink is None else [STREAM]


def _open(stream: Stream) -> list[str]:
    s = stream.id
    lines = [f'{s}__file = $fopen("{s}.rec", "wb");']
    if stream.source is None or stream.sink is None:
        lines.append(f'{s}__pattern_file = $fopen("{s}.go", "rb");')
    if stream.source is None:
        lines += [f'{s}__stimulus = $fopen("{s}.stim", "rb");', f"{s}__more = $fread({s}__word, {s}__stimulus) != 0;"]
    return lines


def _close(stream: Stream) -> list[str]:
    s, record = stream.id, 32 * record_words(stream.width)
    return [
        f'for (k = 0; k < {s}__count; k = k + 1) $fwrite({s}__file, "%u", {s}__buffer[k * {record} +: {record}]);',
        f"$fclose({s}__file);",
    ]
