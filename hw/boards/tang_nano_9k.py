"""Sipeed Tang Nano 9K: Gowin GW1NR-9C, 27 MHz, a BL702 as serial bridge; 1 Mbaud divides our clock."""

from __future__ import annotations

from amaranth_boards.tang_nano_9k import TangNano9kPlatform

from arbonn.hw.boards.board import Board

BOARD = Board(
    name="tang-nano-9k",
    family="gowin",
    platform=TangNano9kPlatform,
    clock_mhz=27.0,
    level_ns=3.0,
    baud=1_000_000,
    resources={"luts": 8640, "ffs": 6480, "brams": 26, "bram_bits": 18432},
    program="openFPGALoader -b tangnano9k {bitstream}",
)
