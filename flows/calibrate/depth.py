"""LUT levels of the longest path between registers of a synthesised netlist: what its clock rests on before place and route."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import TopologicalSorter
from typing import Any

from arbonn.flows.families import Family

CARRY = 1 / 16  # levels of a carry: a chain is fast
MUX = 1 / 4  # levels of the multiplexers behind LUTs
MUXES = ("MUXF", "PFUMX", "L6MUX", "MUX2_LUT")
CLOCKED = ("SB_RAM40", "SB_DFF", "TRELLIS_FF", "DP16KD", "PDPW16KD", "DFF", "SP", "SDP", "DP", "pROM", "FD", "RAMB")


def depth(module: Mapping[str, Any], family: Family) -> float:
    """Levels of the longest path through cells that hold nothing; ports and registers are its ends. A LUT RAM is read as a LUT is."""
    driver: dict[int, str] = {}
    reads: dict[str, list[int]] = {}
    cost: dict[str, float] = {}
    for name, cell in module["cells"].items():
        kind = cell["type"]
        if kind.startswith(CLOCKED):
            continue
        cost[name] = MUX if kind.startswith(MUXES) else CARRY if "carry" in family.counts(kind) else 1.0
        directions, clocks = cell["port_directions"], ("CLK", "WCLK", "WCK")
        reads[name] = []
        for pin, nets in cell["connections"].items():
            bits = [net for net in nets if isinstance(net, int)]
            if directions[pin] == "output":
                driver.update(dict.fromkeys(bits, name))
            elif pin not in clocks:
                reads[name] += bits
    feeds = {name: {driver[net] for net in nets if net in driver} for name, nets in reads.items()}
    found: dict[str, float] = {}
    for name in TopologicalSorter(feeds).static_order():
        found[name] = max((found[other] for other in feeds[name]), default=0.0) + cost[name]
    return max(found.values(), default=0.0)
