"""Prints the table of all measurements and writes them as JSON: `python -m arbonn.flows.bench [FILE] [--only cnv,engine]`.

FILE is build/bench.json by default. Both sides get one thread: `make bench` sets it for numpy and numba, which read it before anything
here could; ONNX Runtime takes a thread for every processor that it may use, so all runs on one.
"""

from __future__ import annotations

import os

from arbonn.flows.bench.measures import GROUPS
from arbonn.flows.bench.table import command

TOOLS = ("arbonn", "numpy", "numba", "torch", "qonnx", "onnxruntime", "amaranth", "cocotb")

if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    command("bench", "How fast, side by side in one run.", GROUPS, TOOLS)
