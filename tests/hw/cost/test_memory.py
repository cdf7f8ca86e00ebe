"""What a memory is built of is what synthesis made of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbonn.hw.cost.cost import FAMILIES
from arbonn.hw.cost.memory import Use, built, distinct_columns, distinct_pieces, in_logic, likely_columns, memory_parts

# Cells of a table alone, before LUTs are mapped, yosys 0.70: flip-flops and block RAMs, and LUTs of the RAM where it is LUT RAM.
WRITABLE = [
    ("ice40", 1, 16, 16, 0, 0),
    ("ice40", 8, 8, 72, 0, 0),
    ("ice40", 512, 8, 27, 1, 0),
    ("ecp5", 512, 8, 27, 1, 0),
    ("gowin", 512, 8, 27, 1, 0),
    ("xc7", 1, 16, 16, 0, 0),
    ("xc7", 8, 8, 8, 0, 8),
    ("xc7", 16, 6, 6, 0, 4),
    ("xc7", 512, 8, 0, 1, 0),
]


@pytest.mark.parametrize(("target", "words", "width", "ffs", "brams", "lut_ram"), WRITABLE)
def test_a_writable_table_is_built_as_synthesis_builds_it(target: str, words: int, width: int, ffs: int, brams: int, lut_ram: int) -> None:
    found = memory_parts(words, width, target, "old")
    assert (found.ffs, found.brams, found.amounts.get("LUT RAM", 0)) == (ffs, brams, lut_ram)


# Of MVAUs' weights, yosys 0.70: the prices are equal on iCE40 at 64 words of 64 bits, and then it takes logic.
@pytest.mark.parametrize(
    ("target", "words", "width", "blocks"),
    [("ice40", 64, 64, 0), ("ice40", 128, 64, 4), ("ecp5", 64, 64, 0), ("ecp5", 128, 64, 2), ("gowin", 128, 64, 2), ("xc7", 128, 64, 0)],
)
def test_a_constant_table_is_in_block_ram_where_yosys_puts_it(target: str, words: int, width: int, blocks: int) -> None:
    how = built(words, width, target, "table")
    assert how.cells if how.what == "block" else blocks == 0
    assert memory_parts(words, width, target, "table").brams == blocks


@given(
    target=st.sampled_from(FAMILIES),
    words=st.integers(2, 5000),
    width=st.integers(1, 600),
    use=st.sampled_from(["table", "old", "new", "same"]),
)
def test_what_has_to_be_block_ram_holds_all_bits(target: str, words: int, width: int, use: Use) -> None:
    how = built(words, width, target, use, block=True)
    assert how.what == "block"
    assert how.cells * (4096 if target == "ice40" else 18432) >= words * width
    assert how.price >= built(words, width, target, use).price


@given(words=st.lists(st.integers(0, 255), min_size=2, max_size=12))
def test_columns_that_never_change_or_are_equal_are_built_once(words: list[int]) -> None:
    columns = {tuple(word >> k & 1 for word in words) for k in range(8)} - {(0,) * len(words), (1,) * len(words)}
    assert distinct_columns(words, 8) == len(columns)


@given(words=st.integers(2, 200), width=st.integers(1, 500))
def test_random_words_have_no_more_columns_than_bits_and_than_functions(words: int, width: int) -> None:
    assert 0 <= likely_columns(words, width) <= min(width, 2**words - 2)


def test_runs_of_words_that_are_equal_are_counted_once() -> None:
    """Of 64 words: a bit that never changes, one that alternates (one run, four times), and one of four runs."""
    words = [1 | (k & 1) << 1 | (k * 7 % 64 > 20) << 2 for k in range(64)]
    assert distinct_pieces(words, 3) == 1 + len({tuple(words[k : k + 16][j] >> 2 for j in range(16)) for k in range(0, 64, 16)})
    assert distinct_pieces([0] * 40, 8) == 0
    assert distinct_pieces([0, 1] * 9, 1) == 2  # the second run is cut short


@pytest.mark.parametrize("target", FAMILIES)
def test_tables_of_numbers_take_less_than_random_ones(target: str) -> None:
    random, rising = np.random.default_rng(0).integers(0, 256, 256).tolist(), list(range(256))
    assert sum(in_logic(256, 8, target, rising).amounts.values()) < sum(in_logic(256, 8, target, random).amounts.values())
