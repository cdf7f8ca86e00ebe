"""Constant tables in a datapath: block RAM, LUTs or plain wires, as the tool finds best for the size."""

from __future__ import annotations

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


def block_count(words: int, width: int, target: str) -> int:
    """Blocks of a constant table in block RAM: the fewest of the target's aspect ratios that hold it."""
    return min(-(-words // depth) * -(-width // wide) for depth, wide in BLOCK_SHAPES[target])


def logic_cost(words: int, width: int, target: str) -> float:
    """LUTs of a constant table without block RAM, inside a unit: one a bit of a word of up to 16 words.

    Deeper ones are measured: MVAUs' weights with yosys 0.70, which shares badly what it makes of them (alone, a table takes a quarter).
    """
    deep, bits_a_lut = ROM_LUT[target]
    return width if words <= deep else words * width / bits_a_lut


ROM_LUT = {"ice40": (16, 8), "ecp5": (16, 8), "gowin": (16, 8), "xc7": (16, 13)}


# (words, bits) a block can be used as. iCE40: Lattice TN-02002; ECP5: TN-02204; 7-series: UG473 (RAMB18); Gowin: UG285.
BLOCK_SHAPES: dict[str, tuple[tuple[int, int], ...]] = {
    "ice40": ((256, 16), (512, 8), (1024, 4), (2048, 2)),
    "ecp5": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
    "gowin": ((512, 32), (1024, 16), (2048, 8), (4096, 4), (8192, 2), (16384, 1)),
    "xc7": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
}
