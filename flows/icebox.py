"""An iCE40 bitstream turned back into Verilog by icebox, its cells counted, and one of its bits changed for tests of the check."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from arbonn.errors import CheckError
from arbonn.flows import tools
from arbonn.flows.families import TOP
from arbonn.flows.synth import BuildOutcome


def to_verilog(bitstream: Path, constraints: Path) -> str:
    """The Verilog that an iCE40 bitstream is. `.asc`, or `.bin` (unpacked first)."""
    folder = bitstream.resolve().parent
    if bitstream.suffix == ".bin":
        text = tools.run([tools.require("iceunpack"), str(bitstream.resolve())], folder)
        bitstream = folder / f"{bitstream.stem}.unpacked.asc"
        bitstream.write_text(text)
    command = [tools.require("icebox_vlog"), "-s", "-l", "-n", TOP, "-p", str(constraints.resolve()), str(bitstream.resolve())]
    return tools.run(command, folder)


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
