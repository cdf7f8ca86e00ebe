"""AMD ZCU104: Zynq UltraScale+ ZU7EV."""

from __future__ import annotations

from arbonn.hw.boards.amd import AmdBoard

AMD = AmdBoard(
    "zcu104",
    part="xczu7ev-ffvc1156-2-e",
    files="xilinx.com:zcu104:part0",
    processor="zynqmp",
    family="xcup",
    clock_mhz=200.0,
    level_ns=0.7,
    resources={"luts": 230_400, "ffs": 460_800, "brams": 624, "bram_bits": 18_432},
)
