"""Radiona ULX3S with the ECP5 25F: 25 MHz, an FTDI bridge (FT231X) whose rates are 3 MHz divided by eighths: 1 Mbaud divides our clock."""

from __future__ import annotations

from amaranth_boards.ulx3s import ULX3S_25F_Platform

from arbonn.hw.boards.board import Board

BOARD = Board(
    name="ulx3s-25f",
    family="ecp5",
    platform=ULX3S_25F_Platform,
    clock_mhz=25.0,
    level_ns=2.0,  # an MVAU alone 1.6, in TFC 1.7: `make bench-hw ONLY=ecp5`
    baud=1_000_000,
    resources={"luts": 24288, "ffs": 24288, "brams": 56, "bram_bits": 18432},
    program="openFPGALoader -b ulx3s {bitstream}",
)
