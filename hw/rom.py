"""Constant tables in a datapath: block RAM, LUTs or plain wires, as the tool finds best for the size."""

from __future__ import annotations

from typing import NamedTuple

from amaranth.hdl import Const, Module, Value, unsigned
from amaranth.lib.memory import Memory

from arbonn.hw.datatypes import Integers

BLOCK_RAM = {"ram_style": "block"}  # the attribute of a memory that has to be block RAM; yosys, Vivado and Gowin's tools know it


def rom(m: Module, name: str, words: list[int], width: int, address: Value, enable: Value, *, block: bool = False) -> Value:
    """The word at `address` one clock later, when `enable` was high; else the last one again. A single word is a constant.

    block  it has to be block RAM; else it is what the tool finds best.
    """
    if len(set(words)) == 1:
        return Const(words[0], width)
    memory = Memory(shape=unsigned(width), depth=len(words), init=words, attrs=BLOCK_RAM if block else {})
    m.submodules[name] = memory
    port = memory.read_port()
    m.d.comb += [port.addr.eq(address), port.en.eq(enable)]
    return port.data


def pack_words(fields: Integers, bits: int) -> list[int]:
    """Rows of non-negative fields of `bits` each to words, the first field in the low bits."""
    return [sum(int(value) << (k * bits) for k, value in enumerate(row)) for row in fields]


class MemoryCost(NamedTuple):
    """A table's size in bits, and the block RAMs or the LUTs that it takes."""

    bits: int
    brams: int
    luts: float
    ffs: int = 0


def memory_cost(words: int, width: int, target: str, *, writable: bool = False) -> MemoryCost:
    """Cost of a table: the fewest blocks of the target's aspect ratios that hold it, or LUTs where it is small.

    A `writable` one of one word is a register; a small one is LUT RAM, or registers where the target has none. Of a block whose read port
    cannot give the old word of an address that is written in the same cycle, yosys makes one that can: registers for what was read and
    written, a comparison of addresses.
    """
    bits = words * width
    if writable and (words <= 1 or bits < SMALLEST_WRITABLE[target]):
        return _small_writable(words, width, target)
    if writable:
        blocks, address = memory_cost(words, width, target), (words - 1).bit_length()
        keeps = target in READS_OLD
        brams = max(1, blocks.brams)
        return MemoryCost(bits, brams, 0 if keeps else width + address / 2, 0 if keeps else 2 * width + address + 2)
    if words <= 1 or bits < SMALLEST_BLOCK[target]:
        return MemoryCost(0 if words <= 1 else bits, 0, 0 if words <= 1 else bits / 8)  # a LUT4 holds 16 bits; about half are lost
    return block_cost(words, width, target)


def block_cost(words: int, width: int, target: str) -> MemoryCost:
    """Cost of a constant table in block RAM: the fewest blocks of the target's aspect ratios that hold it."""
    return MemoryCost(words * width, min(-(-words // depth) * -(-width // wide) for depth, wide in BLOCK_SHAPES[target]), 0)


def logic_cost(words: int, width: int, target: str) -> float:
    """LUTs of a constant table without block RAM, inside a unit: one a bit of a word where a LUT holds all words.

    Deeper ones are measured: MVAUs' weights with yosys 0.70, which shares badly what it makes of them (alone, a table takes a quarter).
    """
    deep, bits_a_lut = ROM_LUT[target]
    return width if words <= deep else words * width / bits_a_lut


ROM_LUT = {"ice40": (16, 8), "ecp5": (16, 8), "gowin": (16, 8), "xc7": (64, 13)}


def _small_writable(words: int, width: int, target: str) -> MemoryCost:
    if words <= 1:
        return MemoryCost(0, 0, 0, words * width)
    deep, wide, luts = LUT_RAM[target]
    if not luts:  # registers, their enables and a multiplexer of words to one
        return MemoryCost(0, 0, words + width * (words - 1) * 2 / 3, (words + 1) * width)
    return MemoryCost(words * width, 0, -(-words // deep) * -(-width // wide) * luts, width)


# Words and bits of a LUT RAM and the LUTs that it takes. ECP5: TN-02204; Gowin: UG288 (RAM16SDP4); 7-series: UG474 (RAM32M).
LUT_RAM: dict[str, tuple[int, int, int]] = {"ice40": (1, 1, 0), "ecp5": (16, 4, 4), "gowin": (16, 4, 4), "xc7": (32, 6, 4)}
# (words, bits) a block can be used as. iCE40: Lattice TN-02002; ECP5: TN-02204; 7-series: UG473 (RAMB18); Gowin: UG285.
BLOCK_SHAPES: dict[str, tuple[tuple[int, int], ...]] = {
    "ice40": ((256, 16), (512, 8), (1024, 4), (2048, 2)),
    "ecp5": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
    "gowin": ((512, 32), (1024, 16), (2048, 8), (4096, 4), (8192, 2), (16384, 1)),
    "xc7": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
}
# Below this many bits yosys builds a table from LUTs (its memory maps' minimum use of a block).
SMALLEST_BLOCK = {"ice40": 128, "ecp5": 512, "gowin": 512, "xc7": 1024}
SMALLEST_WRITABLE = SMALLEST_BLOCK | {"ice40": 82}  # 2 % of a block: there a writable table would be registers
READS_OLD = ("xc7",)  # seen with yosys 0.70: the others get that comparison
