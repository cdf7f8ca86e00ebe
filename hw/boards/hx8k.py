"""Lattice iCE40-HX8K breakout board: iCE40 HX8K, 12 MHz, an FTDI bridge (FT2232H) that reaches 3 Mbaud."""

from __future__ import annotations

from amaranth_boards.ice40_hx8k_b_evn import ICE40HX8KBEVNPlatform

from arbonn.hw.boards.board import Board

BOARD = Board(
    name="hx8k",
    family="ice40",
    platform=ICE40HX8KBEVNPlatform,
    clock_mhz=12.0,
    level_ns=1.9,  # a third of the UP5K's: not measured by itself
    baud=3_000_000,
    resources={"luts": 7680, "ffs": 7680, "brams": 32, "bram_bits": 4096},
    program="iceprog -S {bitstream}",  # into the device itself: the jumpers J6 across
)
