"""The check of what was built: turned back into Verilog and simulated at its pins, against RTL, reference and timing engine.

What is compared: every answer with the reference, the cycles that the device counts with the prediction, and the cycle of every edge on the
serial output between the RTL of the board's top module and what was built. On iCE40 that is the bitstream itself, and nothing of the tool
chain behind the RTL is trusted. The bitstreams of other families cannot be turned back into logic with their memories: there it is the
netlist that synthesis gave to place and route, on which these two are trusted to have done no more than to place and to route.
It is a simulation: what good requests do not reach (how faults are answered, say) is compared by the number of cells only.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from arbonn.flows import cell_models, families, icebox, tools
from arbonn.flows.families import TOP
from arbonn.flows.progress import Report, silent
from arbonn.flows.synth import BuildOutcome
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

    compared      what was simulated beside the RTL: `bitstream` or `synthesis`.
    mismatches    its answers that are not the expected ones.    rtl_mismatches  the same of the RTL.
    cycles_equal  every edge on tx falls in the same cycle as in the RTL.    device_cycles  as the device counted, one a frame.
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
    compared: str = "bitstream"

    @property
    def good(self) -> bool:
        """True when frames were compared and nothing differs."""
        return not self.skipped and self.frames > 0 and self.mismatches == 0 and self.rtl_mismatches == 0 and self.cycles_equal


def check_netlist(
    graph: DataflowGraph, board: Board, built: BuildOutcome, images: Integers, folder: Path, *, on_progress: Report = silent
) -> NetlistOutcome:
    """Checks what `built` is on `images`, values (frames, *shape) of the graph's input. Works in `folder`.

    Raises CheckError where it does not hold the cells that were reported, or a simulator breaks off.
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
    made_by = families.named(board.family, f"board {board.name}")
    needed = ("icebox_vlog", "iverilog") if made_by.netlist == "bitstream" else ("iverilog",)
    if missing := [name for name in needed if tools.find(name) is None]:
        lines = " && ".join(dict.fromkeys(tools.how_to_get(name) for name in missing))
        return NetlistOutcome(skipped=f"{' and '.join(missing)} not found; to have it: {lines}", compared=made_by.netlist)
    build = built.bitstream.parent
    cells = cell_models.models(made_by.name)
    if made_by.netlist == "bitstream":
        netlist = icebox.to_verilog(build / f"{TOP}.asc", build / f"{TOP}.pcf")
        icebox.check_cells(netlist, built)
    else:
        netlist = (build / f"{TOP}.syn.v").read_text()
        cell_models.check_modelled(netlist, cells)

    wanted = [Frame(Kind.INFO_ANSWER, info.encode()), *(Frame(Kind.RESULT, info.encode_result(result)) for result in expected)]
    pins = pins_of((build / f"{TOP}.{made_by.constraints}").read_text(), board)
    sessions: dict[str, Session] = {}
    for number, (name, design) in enumerate({"rtl": started((build / f"{TOP}.v").read_text()), made_by.netlist: netlist}.items()):
        on_progress(f"check of the {made_by.netlist}", number / 2)
        sources = {"cells.v": cells, "top.v": design}
        sessions[name] = converse(sources, pins, [encode(Kind.INFO), *requests], info.answers, board.divider, folder / name)
    on_progress(f"check of the {made_by.netlist}", 1.0)

    rtl, device = sessions["rtl"], sessions[made_by.netlist]
    answers = {name: [_decoded(answer, info) for answer in session.answers] for name, session in sessions.items()}
    differing = {name: [k for k, (a, b) in enumerate(zip(seen, wanted, strict=True)) if a != b] for name, seen in answers.items()}
    results = [info.result(a.payload) for a in answers[made_by.netlist][1:] if a is not None and a.kind == Kind.RESULT]
    return NetlistOutcome(
        frames=len(expected),
        mismatches=len(differing[made_by.netlist]),
        rtl_mismatches=len(differing["rtl"]),
        cycles_equal=rtl.edges == device.edges,
        device_cycles=tuple(result.cycles for result in results),
        predicted_cycles=expected[0].cycles if expected else 0,
        edges=len(device.edges),
        seconds=time.monotonic() - began,
        first_difference=_first_difference(answers, wanted, sessions, info),
        compared=made_by.netlist,
    )


def _first_difference(
    answers: Mapping[str, list[Frame | None]], wanted: Sequence[Frame], sessions: Mapping[str, Session], info: Info
) -> str:
    for name, seen in answers.items():
        for number, (answer, right) in enumerate(zip(seen, wanted, strict=True)):
            if answer != right:
                what = f"frame {number - 1}" if number else "INFO"
                return f"{name}, {what}: {_told(answer, info)}, expected {_told(right, info)}"
    (_, expected), (name, found) = sessions.items()
    for number, (rtl, device) in enumerate(zip_longest(expected.edges, found.edges)):
        if rtl != device:
            return f"edge {number} on the serial output: cycle {rtl} in the RTL, {device} in the {name}"
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
    ports = set(re.findall(r"\b\w+__io\b", constraints))
    uart = "_".join(map(str, board.uart))
    serial = {f"{uart}__rx__io", f"{uart}__tx__io"}
    (clock,) = ports - serial
    assert serial <= ports
    return Pins(TOP, clock, f"{uart}__rx__io", f"{uart}__tx__io")


def started(rtl: str) -> str:
    """yosys' Verilog, made to run at time 0: it has a variable in every `always @*` whose first change is to start it.

    A SystemVerilog simulator gives a variable its declared value before it watches for changes, so what depends on constants and initial
    values alone would stay X. (`always_comb` instead never comes to rest in Icarus 11.)
    """
    return re.sub(r"reg (\\\$auto\$verilog_backend\S+) *= 0;", r"reg \1 ; initial #0 \1 = 0;", rtl)
