"""Boards and their registry."""

from __future__ import annotations

import pytest

from arbonn.errors import InputError
from arbonn.hw.boards import any_board, board, boards, every_board


def test_every_board_is_found_by_its_name():
    assert "icebreaker" in boards()
    assert all(board(name).name == name for name in boards())


def test_a_wrong_name_lists_all_boards():
    assert {"icebreaker", "arty-a7", "arty-z7", "pynq-z2", "zcu104"} < set(every_board())
    for find in (board, any_board):
        with pytest.raises(InputError) as caught:
            find("icebraker")
        assert str(caught.value) == (
            f"InputError: --board: no board 'icebraker'\n  allowed  {', '.join(every_board())}\n  fix      did you mean `icebreaker`?"
        )


def test_a_board_without_a_serial_line_is_none_for_what_needs_one():
    assert any_board("pynq-z2").name == "pynq-z2"
    with pytest.raises(InputError) as caught:
        board("pynq-z2")
    assert str(caught.value) == f"InputError: --board: pynq-z2 has no serial line to its logic\n  allowed  {', '.join(boards())}"


@pytest.mark.parametrize("name", boards())
def test_a_board_is_what_its_platform_says(name):
    b = board(name)
    platform = b.platform()
    assert platform.default_clk_frequency == b.clock_mhz * 1e6
    assert b.divider * b.baud == b.clock_mhz * 1e6
    assert {"luts", "ffs", "brams", "bram_bits"} <= set(b.resources)


def test_link_rate_counts_ten_bits_a_byte():
    assert board("icebreaker").link_fps(71, 29) == 3_000_000 / 1000
