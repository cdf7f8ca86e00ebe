"""A board's whole design simulated at its pins: bytes in on one wire, every edge on the other, to the cycle.

The same bench runs the RTL of a board's top module and the netlist that a bitstream is: both have a clock pin, a serial input and a serial
output, and nothing else is looked at. The clock ticks in HDL and the simulator calls Python only at the edges of the two wires.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from arbonn.sim import runner

BENCH = "pins"
CYCLE_NS = 10  # of simulated time; the rising edge is in the middle of a cycle, so the serial input changes half a cycle before it
SETTLE_CYCLES = 400  # a board's power-on reset is over by then


@dataclass(frozen=True)
class Pins:
    """Names of a top module's ports."""

    top: str
    clock: str
    rx: str
    tx: str


@dataclass(frozen=True)
class Session:
    """What was seen: the answer to each request (empty: none came), and the cycle of every edge on tx."""

    answers: tuple[bytes, ...]
    edges: tuple[int, ...]
    cycles: int
    seconds: float


def bench_verilog(pins: Pins) -> str:
    """The bench around the top module: a clock, two wires."""
    return f"""`timescale 1ns/1ps
module {BENCH};
  reg clock = 0, rx = 0;
  wire clock_pin = clock, rx_pin = rx;
  wire tx;
  initial #1 rx = 1;  // yosys' model of a pin shows X until its first change
  always #{CYCLE_NS // 2} clock = ~clock;
  {pins.top} dut (.{pins.clock}(clock_pin), .{pins.rx}(rx_pin), .{pins.tx}(tx));
endmodule
"""


def converse(
    sources: Mapping[str, str],
    pins: Pins,
    requests: Sequence[bytes],
    lengths: Mapping[int, int],
    divider: int,
    folder: Path,
    *,
    patience: int = 200_000,
    limit_s: float = 1800,
) -> Session:
    """Sends each request when the answer to the one before it is complete, and returns all that tx did.

    sources   Verilog texts by file name.    lengths  of the answers, by kind, as `protocol.Decoder` takes them.
    patience  cycles to wait for an answer.  Raises ToolError without Icarus, CheckError if the simulator breaks off.
    """
    simulator = runner.find("icarus")
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    built = runner.build(simulator, {**sources, f"{BENCH}.v": bench_verilog(pins)}, BENCH, "tx", folder / "compiled")
    job = {
        "requests": [r.hex() for r in requests],
        "lengths": {int(k): v for k, v in lengths.items()},
        "divider": divider,
        "patience": patience,
    }
    (folder / "session.json").write_text(json.dumps(job))
    seen = folder / "seen.json"
    seen.unlink(missing_ok=True)
    runner.run(simulator, built, BENCH, "arbonn.sim.pins_test", folder, {}, limit_s=limit_s)
    found = json.loads(seen.read_text())
    return Session(tuple(bytes.fromhex(a) for a in found["answers"]), tuple(found["edges"]), found["cycles"], time.monotonic() - began)
