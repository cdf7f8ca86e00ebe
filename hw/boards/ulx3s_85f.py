"""Radiona ULX3S with the ECP5 85F: the same board as the 25F with three times its device."""

from __future__ import annotations

from amaranth_boards.ulx3s import ULX3S_85F_Platform

from arbonn.hw.boards.board import Board

BOARD = Board(
    name="ulx3s-85f",
    family="ecp5",
    platform=ULX3S_85F_Platform,
    clock_mhz=25.0,
    level_ns=2.0,  # an MVAU alone 1.6, in TFC 1.7: `make bench-hw ONLY=ecp5`
    baud=1_000_000,
    resources={"luts": 83640, "ffs": 83640, "brams": 208, "bram_bits": 18432},
    program="openFPGALoader -b ulx3s {bitstream}",
)
