"""Digilent Arty Z7-20: Zynq 7020."""

from __future__ import annotations

from arbonn.hw.boards.amd import ZYNQ_7020, AmdBoard

AMD = AmdBoard(
    "arty-z7",
    part="xc7z020clg400-1",
    files="digilentinc.com:arty-z7-20:part0",
    processor="zynq",
    family="xc7",
    clock_mhz=100.0,
    level_ns=1.2,
    resources=ZYNQ_7020,
)
