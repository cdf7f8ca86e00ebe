"""Boards and their registry."""

from __future__ import annotations

import pytest

from arbonn.errors import InputError
from arbonn.hw.boards import board, boards


def test_every_board_is_found_by_its_name():
    assert "icebreaker" in boards()
    assert all(board(name).name == name for name in boards())


def test_a_wrong_name_lists_the_boards():
    with pytest.raises(InputError) as caught:
        board("icebraker")
    assert str(caught.value) == f"InputError: --board: no board 'icebraker'\n  allowed  {', '.join(boards())}"


@pytest.mark.parametrize("name", boards())
def test_a_board_is_what_its_platform_says(name):
    b = board(name)
    platform = b.platform()
    assert platform.default_clk_frequency == b.clock_mhz * 1e6
    assert b.divider * b.baud == b.clock_mhz * 1e6
    assert {"luts", "ffs", "brams", "bram_bits"} <= set(b.resources)


def test_link_rate_counts_ten_bits_a_byte():
    assert board("icebreaker").link_fps(71, 29) == 3_000_000 / 1000
