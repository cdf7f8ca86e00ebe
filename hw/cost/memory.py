"""What synthesis makes of a memory: registers, LUTs, LUT RAM or block RAM, by yosys' own rule.

yosys (`memory_libmap`, 0.70) gives each way of building a memory a price and takes the cheapest; of equal ones, logic. Logic costs 1 a
bit, in a table that is never written a sixteenth or less (TABLE_BIT); a block or a LUT RAM what its library file says (BLOCKS, LUT_RAMS),
for each of those that the width takes; words beyond one block cost half a bit for each multiplexer and write enable, and each port twice
the trouble of imitating what the block cannot do: giving the old word of an address that is being written, or the new one.
"""

from __future__ import annotations

from math import inf
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arbonn.hw.cost.cost import Parts, amounts, family

Use = Literal["table", "old", "new", "same"]
"""`table`: never written. `old`, `new`: what a read of the address that is written in the same cycle gives. `same`: `old`, by one address
for reading and writing.
"""


class Way(NamedTuple):
    """One primitive that holds memory: `bits` in all, up to `wide` in a word, its price, and what it counts as (blocks or LUTs)."""

    bits: int
    widths: tuple[int, ...]
    price: float
    scaled: float  # the part of the price that falls with the bits of a word that are in use
    counts: int


NINES = (1, 2, 4, 9, 18, 36)
# yosys' ice40/brams.txt, lattice/brams_16kd.txt, gowin/brams.txt, xilinx/brams_xc4v.txt; bits as if each word had a power of two of them.
BLOCKS: dict[str, tuple[Way, ...]] = {
    "ice40": (Way(4096, (2, 4, 8, 16), 64, 0, 1),),
    "ecp5": (Way(1 << 14, NINES, 128, 0, 1),),
    "gowin": (Way(1 << 14, NINES, 128, 0, 1),),
    "xc7": (Way(1 << 14, NINES, 129, 0, 1), Way(1 << 15, (*NINES, 72), 257, 0, 2)),
}
# lattice/lutrams_trellis.txt, gowin/lutrams.txt, xilinx/lutrams_xc5v.txt. Their LUTs: TN-02204 (and its write port), UG288, UG474.
LUT_RAMS: dict[str, tuple[Way, ...]] = {
    "ice40": (),
    "ecp5": (Way(16, (4,), 4, 0, 6),),
    "gowin": (Way(16, (4,), 4, 4, 4),),
    "xc7": (Way(32, (6,), 8, 7, 4), Way(64, (3,), 8, 7, 4)),
}
# Of one port: lutrams_xc5v.txt. The others have none of their own.
ONE_PORT = {"xc7": (Way(32, (8,), 8, 8, 4), Way(64, (4,), 8, 8, 4), Way(128, (2,), 8, 8, 4), Way(256, (1,), 8, 8, 4))}
TABLE_BIT = {"ice40": 1 / 16, "ecp5": 1 / 16, "gowin": 1 / 16, "xc7": 1 / 64}  # yosys' synth_<family>
SIMPLE = {"ice40": 16, "ecp5": 16, "gowin": 16, "xc7": 32}  # words of a table of one LUT a bit
# Bits of a greater one in a LUT. A LUT6 holds 64 where a table stands alone, but behind a unit's own counter yosys shares its pieces and
# gets 12 to 20 of random words into a LUT (seen with tables of 40 to 1,152 words).
SHARED = 16
# Blocks that give the old word by themselves, with one address, or also with two; the others get registers and a comparison of addresses.
READS_OLD: dict[str, tuple[str, ...]] = {"same": ("xc7", "ecp5", "gowin"), "old": ("xc7",), "new": (), "table": ()}


class Built(NamedTuple):
    """How a memory is built: by `count` primitives of what `what` says, in `rows` that a multiplexer joins."""

    what: Literal["logic", "LUT RAM", "block"]
    cells: int
    rows: int
    price: float


def built(words: int, width: int, target: str, use: Use, block: bool = False) -> Built:
    """The cheapest way to build a memory; with `block` the cheapest of block RAM."""
    name = family(target)
    best = Built("logic", 0, 1, inf if block else words * width * (TABLE_BIT[name] if use == "table" else 1))
    trouble = {"table": 1, "new": 4, "same": 0, "old": 1}[use] if use in ("table", "new") or name in READS_OLD[use] else 7
    for way in BLOCKS[name]:
        for level, wide in enumerate(way.widths):
            depth = (way.bits // way.widths[0]) >> level
            best = _cheaper(best, "block", way, wide, depth, words, width, trouble, use)
    if use != "table" and not block:
        one = use == "same" and name in ONE_PORT
        for way in ONE_PORT[name] if one else LUT_RAMS[name]:
            best = _cheaper(best, "LUT RAM", way, way.widths[0], way.bits, words, width, 0 if one else 1, use)
    return best


def _cheaper(
    best: Built, what: Literal["LUT RAM", "block"], way: Way, wide: int, depth: int, words: int, width: int, trouble: int, use: Use
) -> Built:
    rows = -(-words // depth)
    count = -(-rows * width // wide)
    price = (way.price - way.scaled) * count + way.scaled * rows * width / wide + 2 * trouble
    price += (rows - 1) * width / 2 + (rows / 2 if rows > 1 and use != "table" else 0)
    return Built(what, count * way.counts, rows, price) if price < best.price else best


def memory_parts(words: int, width: int, target: str, use: Use, contents: list[int] | None = None, block: bool = False) -> Parts:
    """Parts of a memory with one read port, whose word comes one clock later, and (but for a table) one write port.

    contents  of a table, where they are known: bits that never change, or are equal, are built once.
    block     it has to be block RAM.
    """
    if use == "table":
        return _table(words, width, target, contents, block)
    if words <= 1:
        return amounts(words * width)
    how, address = built(words, width, target, use, block), (words - 1).bit_length()
    join = amounts((how.rows - 1).bit_length() if how.rows > 1 else 0, multiplexer=(how.rows - 1) * width)
    read = address if use == "new" else width  # yosys keeps the address where reading and writing may meet
    if how.what == "logic":
        return amounts(words * width + read, register_words=words, register_multiplexer=(words - 1) * width)
    if how.what == "LUT RAM":
        return amounts(read, LUT_RAM=how.cells, multiplexer=(how.rows - 1) * width, enable=how.rows if how.rows > 1 else 0)
    found = Parts({}, 0, words * width, how.cells) + join
    if use == "new":
        return found + amounts(width + 1, bypass=width + address / 2)
    return found if family(target) in READS_OLD[use] else found + amounts(2 * width + address + 2, bypass=width + address / 2)


def _table(words: int, width: int, target: str, contents: list[int] | None, block: bool) -> Parts:
    if words <= 1 or (contents is not None and len(set(contents)) == 1):
        return Parts()
    how = built(words, width, target, "table", block)
    if how.what == "block":
        return Parts({"multiplexer": (how.rows - 1) * width}, (how.rows - 1).bit_length() if how.rows > 1 else 0, words * width, how.cells)
    return in_logic(words, width, target, contents)


def in_logic(words: int, width: int, target: str, contents: list[int] | None = None) -> Parts:
    """Parts of a table that is never written, if it is in LUTs."""
    columns = distinct_columns(contents, width) if contents is not None else likely_columns(words, width)
    pieces = distinct_pieces(contents, width) if contents is not None else columns * words / SHARED
    beyond = pieces * max(0, words - SIMPLE[family(target)]) / words
    whole = {"table bit": float(columns), "table rest": beyond, "uneven table rest": beyond if words & (words - 1) else 0.0}
    return Parts({name: amount for name, amount in whole.items() if amount}, columns, words * width)


def distinct_columns(contents: list[int], width: int) -> int:
    """Bits of a table's words that differ from each other and are no constants."""
    bits = np.packbits(_columns(contents, width), axis=1)
    full = np.packbits(np.ones((1, len(contents)), np.uint8), axis=1)
    changing = bits[(bits != 0).any(axis=1) & (bits != full).any(axis=1)]
    return len(np.unique(changing, axis=0)) if len(changing) else 0


def distinct_pieces(contents: list[int], width: int) -> int:
    """Runs of 16 words' bits, of all columns, that differ from each other and are no constants: what yosys makes only once."""
    columns = np.pad(_columns(contents, width), ((0, 0), (0, -len(contents) % SHARED)))
    pieces = np.unique(np.packbits(columns, axis=1).view(np.uint16))
    return int(((pieces != 0) & (pieces != 0xFFFF)).sum())


def _columns(contents: list[int], width: int) -> NDArray[np.uint8]:
    """Each bit of the words, (width, words)."""
    size = (width + 7) // 8
    raw = np.frombuffer(b"".join(word.to_bytes(size, "little") for word in contents), np.uint8).reshape(len(contents), size)
    return np.ascontiguousarray(np.unpackbits(raw, axis=1, count=width, bitorder="little").T)


def likely_columns(words: int, width: int) -> int:
    """The same of random words, on average."""
    functions = 2.0**words - 2
    return round(functions * -np.expm1(width * np.log1p(-(2.0**-words)))) if words < 40 else width
