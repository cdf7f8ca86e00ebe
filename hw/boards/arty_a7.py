"""Digilent Arty A7-35T: Artix-7 35T, 100 MHz, an FTDI bridge (FT2232HQ). No processor, so the UART shell; Vivado makes the bitstream."""

from __future__ import annotations

from amaranth_boards.arty_a7 import ArtyA7_35Platform

from arbonn.hw.boards.board import Board

BOARD = Board(
    name="arty-a7",
    family="xc7",
    platform=ArtyA7_35Platform,
    clock_mhz=100.0,
    level_ns=1.2,
    baud=2_000_000,
    resources={"luts": 20800, "ffs": 41600, "brams": 100, "bram_bits": 18432},
    program="openFPGALoader -b arty {bitstream}",
)
