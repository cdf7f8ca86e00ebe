"""1BitSquared iCEBreaker: iCE40 UP5K, 12 MHz, an FTDI bridge that reaches 3 Mbaud."""

from __future__ import annotations

from amaranth_boards.icebreaker import ICEBreakerPlatform

from arbonn.hw.boards.board import Board

BOARD = Board(
    name="icebreaker",
    family="ice40",
    platform=ICEBreakerPlatform,
    clock_mhz=12.0,
    level_ns=5.8,  # six levels in 34.8 ns: mnist_tfc of the zoo
    baud=3_000_000,
    resources={"luts": 5280, "ffs": 5280, "brams": 30, "bram_bits": 4096},
    program="iceprog {bitstream}",
)
