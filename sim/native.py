"""The native engine: the same RTL in a bare Verilator C++ loop, ten times faster than a simulator with Python in it.

It plays and writes the same files as the HDL bench (formats: `arbonn.sim.harness`), so its records are read, compared and judged by the
same code. Two-state, and no waves: what it finds is looked at again with the HDL bench. For whole test sets and soaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from arbonn.errors import CheckError
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph, Stream
from arbonn.sim import runner
from arbonn.sim.bench import Bench, Run
from arbonn.sim.harness import ACCELERATOR, observed
from arbonn.sim.records import judge, prepare
from arbonn.sim.trace import Stalls, Trace

PROGRAM = "native"
VERILATE = (
    "verilator", "--cc", "--exe", "--build", "-O3", "--x-assign", "unique", "-Wno-fatal", "-Wno-WIDTH", "--top-module", ACCELERATOR,
    "-o", PROGRAM, "accelerator.v", "native.cpp",
)  # fmt: skip

# A port is an integer of its own size up to 64 bits, beyond that an array of 32-bit words: `put` and `get` make words of both.
LOOP = Template("""#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>
#include "V$top.h"
#include "verilated.h"

template <class T> static void put(T& port, const uint32_t* words, int count) {
    port = static_cast<T>(count > 1 ? (static_cast<uint64_t>(words[1]) << 32 | words[0]) : words[0]);
}
template <std::size_t N> static void put(VlWide<N>& port, const uint32_t* words, int) {
    for (std::size_t k = 0; k < N; k++) port[k] = words[k];
}
template <class T> static void get(const T& port, uint32_t* words, int count) {
    words[0] = static_cast<uint32_t>(port);
    if (count > 1) words[1] = static_cast<uint32_t>(static_cast<uint64_t>(port) >> 32);
}
template <std::size_t N> static void get(const VlWide<N>& port, uint32_t* words, int) {
    for (std::size_t k = 0; k < N; k++) words[k] = port[k];
}

static std::vector<uint8_t> contents(const std::string& name) {
    std::vector<uint8_t> octets;
    std::FILE* file = std::fopen(name.c_str(), "rb");
    if (!file) { std::perror(name.c_str()); std::exit(1); }
    uint8_t block[1 << 16];
    for (std::size_t n; (n = std::fread(block, 1, sizeof block, file)) > 0;) octets.insert(octets.end(), block, block + n);
    std::fclose(file);
    return octets;
}

static std::FILE* violations;
static uint32_t cycle = 0;
static int breaches = 0;
static uint64_t noise = 88172645463325252ull;  // what an input shows while it is not valid

struct Stalls {
    std::vector<uint8_t> bits;
    std::size_t at = 0;
    explicit Stalls(const std::string& s) : bits(contents(s + ".go")) {}
    bool next() { std::size_t k = at++; return k / 8 >= bits.size() || (bits[k / 8] >> (7 - k % 8) & 1); }
};

struct Source {
    Stalls go;
    std::vector<uint8_t> stimulus;
    int octets, count;
    std::size_t at = 0;
    bool pending = false;
    std::vector<uint32_t> words;
    Source(const std::string& s, int width)
        : go(s), stimulus(contents(s + ".stim")), octets((width + 7) / 8), count((width + 31) / 32), words(count + 2) {}
    template <class V, class P> void drive(V& valid, P& payload, int width) {
        bool allowed = go.next();
        pending = pending || (at < stimulus.size() && allowed);
        if (pending) {
            std::fill(words.begin(), words.end(), 0);
            for (int k = 0; k < octets; k++) words[k / 4] |= static_cast<uint32_t>(stimulus[at + octets - 1 - k]) << 8 * (k % 4);
        } else {
            for (int k = 0; k < count; k++) { noise ^= noise << 13; noise ^= noise >> 7; noise ^= noise << 17; words[k] = noise; }
            if (width % 32) words[count - 1] &= (1u << width % 32) - 1;
        }
        valid = pending;
        put(payload, words.data(), count);
    }
    void taken() { pending = false; at += octets; }
};

struct Watch {
    int number, count;
    std::FILE* file;
    std::vector<uint32_t> now, was;
    bool held = false;
    Watch(const std::string& s, int number, int width)
        : number(number), count((width + 31) / 32), file(std::fopen((s + ".rec").c_str(), "wb")), now(count + 1), was(count + 1) {
        std::setvbuf(file, nullptr, _IOFBF, 1 << 18);
    }
    void breach(int rule) { if (breaches++ < 1000) std::fprintf(violations, "%u %d %d\\n", cycle, number, rule); }
    template <class P> bool look(bool valid, bool ready, const P& payload) {
        if (held && !valid) breach(0);
        if (!valid) { held = false; return false; }
        get(payload, now.data() + 1, count);
        if (held && std::memcmp(&now[1], &was[1], 4 * count)) breach(1);
        if (ready) { now[0] = cycle; std::fwrite(now.data(), 4, count + 1, file); }
        held = !ready;
        if (held) was = now;
        return ready;
    }
};

int main(int argc, char** argv) {
    if (argc != 2) return 1;
    const uint32_t cycles = std::strtoul(argv[1], nullptr, 10);
    VerilatedContext context;
    context.randReset(2);
    context.randSeed(1);
    V$top dut{&context};
    violations = std::fopen("violations", "w");
$open
    dut.clk = 0; dut.rst = 1;
$idle
    for (int k = 0; k < 4; k++) { dut.clk = 0; dut.eval(); dut.clk = 1; dut.eval(); }
    dut.clk = 0; dut.rst = 0; dut.eval();
    const auto begin = std::chrono::steady_clock::now();
    for (; cycle < cycles; cycle++) {
$drive
        dut.eval();
$look
        dut.clk = 1; dut.eval();
        dut.clk = 0;
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
$close
    std::fclose(violations);
    std::FILE* seconds = std::fopen("seconds", "w");
    std::fprintf(seconds, "%.9f\\n", took.count());
    std::fclose(seconds);
    dut.final();
    return 0;
}
""")


def native_loop(graph: DataflowGraph, *, probes: bool = True) -> str:
    """The C++ program for the accelerator of `graph`; without `probes` it watches the graph's inputs and outputs only."""
    streams = observed(graph, probes=probes)
    ends = {s.id for s in (*graph.inputs, *graph.outputs)}

    def port(s: Stream, part: str) -> str:
        name = s.id if s.id in ends else f"probe_{s.id}"
        return "dut." + f"{name}__{part}".replace("__", "___05F")  # how Verilator writes what C++ keeps for itself

    def look(s: Stream) -> str:
        seen = f"{s.id}_watch.look({port(s, 'valid')}, {port(s, 'ready')}, {port(s, 'payload')})"
        return f"if ({seen}) {s.id}_source.taken();" if s.source is None else f"{seen};"

    def lines(indent: int, *texts: str) -> str:
        return "\n".join(" " * indent + text for text in texts)

    return LOOP.substitute(
        top=ACCELERATOR,
        open=lines(
            4,
            *(f'Watch {s.id}_watch("{s.id}", {k}, {s.width});' for k, s in enumerate(streams)),
            *(f'Source {s.id}_source("{s.id}", {s.width});' for s in graph.inputs),
            *(f'Stalls {s.id}_go("{s.id}");' for s in graph.outputs),
        ),
        idle=lines(4, *(f"{port(s, 'valid')} = 0;" for s in graph.inputs), *(f"{port(s, 'ready')} = 0;" for s in graph.outputs)),
        drive=lines(
            8,
            *(f"{s.id}_source.drive({port(s, 'valid')}, {port(s, 'payload')}, {s.width});" for s in graph.inputs),
            *(f"{port(s, 'ready')} = {s.id}_go.next();" for s in graph.outputs),
        ),
        look=lines(8, *map(look, streams)),
        close=lines(4, *(f"std::fclose({s.id}_watch.file);" for s in streams)),
    )


@dataclass(frozen=True)
class NativeBench:
    """An accelerator's RTL in a C++ loop, with the methods of `Bench`: compiled once, each run in a folder of its own."""

    graph: DataflowGraph
    simulator: runner.Simulator
    folder: Path
    verilog: str
    probes: bool = True
    limit_s: float = 600.0

    def build(self) -> Path:
        """Compiles, unless done before."""
        assert self.simulator.name == "verilator"
        sources = {"accelerator.v": self.verilog, "native.cpp": native_loop(self.graph, probes=self.probes)}
        folder = self.folder / "builds"
        return runner.build(self.simulator, sources, ACCELERATOR, "", folder, command=VERILATE, limit_s=self.limit_s)

    def run(self, name: str, inputs: Mapping[str, Integers], stalls: Stalls | None, cycles: int, expected: Trace | None = None) -> Run:
        """Runs exactly `cycles` cycles; with `expected`, compares."""
        assert cycles < 1 << 32, "the loop counts cycles in 32 bits"
        program = self.build() / "obj_dir" / PROGRAM
        folder = self.folder / "runs" / name
        prepare(folder, self.graph, inputs, stalls, cycles, observed(self.graph, probes=self.probes), expected)
        runner.execute(self.simulator, [str(program), str(cycles)], folder, limit_s=self.limit_s)
        if not (folder / "seconds").is_file():
            raise CheckError(self.simulator.name, found=f"the native loop ended early; see {folder / 'child.log'}")
        seconds = float((folder / "seconds").read_text(encoding="ascii"))
        return Run(folder, cycles, judge(folder, seconds), seconds)

    def waves(self, name: str, inputs: Mapping[str, Integers], stalls: Stalls | None, cycle: int) -> Path:
        """The dump of the HDL bench, run on the same frames and stalls."""
        return Bench(self.graph, self.simulator, self.folder, self.verilog, self.probes, self.limit_s).waves(name, inputs, stalls, cycle)
