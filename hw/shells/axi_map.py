"""The AXI shell's memory map, defined once: the RTL decodes by it, the JSON beside the Verilog is printed from it, hosts write by it.

Registers are words of 32 bits. Each table of a unit with run-time parameters has a window, which can only be written. A word of the table
takes as many registers as it needs, from the low bits up, at an address of its own:

    address = window + stride * (number of the word) + 4 * part

The parts before the last are kept aside; writing the last part writes the word. So a word's parts are written in rising order, and no
other word's between them. Load between frames: STATUS tells a word that was written while a frame was under way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from enum import IntEnum, IntFlag
from itertools import zip_longest
from typing import Any

import numpy as np

from arbonn.errors import GraphError
from arbonn.hw.graph import DataflowGraph, Node, Stream
from arbonn.hw.graph_file import digest
from arbonn.hw.parameters import Parametric, runtime_units
from arbonn.hw.shells.axi_lite import DATA_BITS, STROBES
from arbonn.hw.shells.axi_stream import beat_bytes

SCHEMA = 1
TOP = "arbonn_axi"  # the Verilog module's name
MAGIC = int.from_bytes(b"ABNN", "little")
WINDOWS = 0x1000  # where the first one may begin


class Register(IntEnum):
    """Addresses of the registers."""

    ID = 0x00
    VERSION = 0x04
    GRAPH_HASH_LOW = 0x08
    GRAPH_HASH_HIGH = 0x0C
    CONTROL = 0x10
    STATUS = 0x14
    FRAMES_IN = 0x18
    FRAMES_OUT = 0x1C
    CYCLES = 0x20


class ControlBit(IntFlag):
    """CONTROL."""

    RESET = 1
    INTERRUPT = 2


class StatusBit(IntFlag):
    """STATUS."""

    BUSY = 1
    DONE = 2
    MISPLACED = 4
    OVERLAP = 8


MEANING = {
    Register.ID: "read only: the bytes ABNN, the first in the low bits",
    Register.VERSION: "read only: schema of this map * 65536 + arbonn's version, major * 256 + minor",
    Register.GRAPH_HASH_LOW: "read only: bits 0 .. 31 of the first 64 bits of the graph's digest",
    Register.GRAPH_HASH_HIGH: "read only: bits 32 .. 63 of them",
    Register.CONTROL: "RESET: written as 1, drops all frames and clears STATUS and the counters, as aresetn does, but not INTERRUPT; reads"
    " as 0. INTERRUPT: lets DONE raise the output `interrupt`. Neither reset changes a table",
    Register.STATUS: "BUSY: a frame is under way. Written as 1 these clear: DONE: a frame has ended; MISPLACED: a TLAST that came in was"
    " not a frame's last beat, or was missing there; OVERLAP: a table was written while a frame was under way",
    Register.FRAMES_IN: "read only: frames begun since a reset, modulo 2^32",
    Register.FRAMES_OUT: "read only: frames given whole since a reset, on every output, modulo 2^32",
    Register.CYCLES: "read only: cycles from the first beat taken since a reset to the end of the latest frame given, modulo 2^32",
}
BITS: dict[Register, type[IntFlag]] = {Register.CONTROL: ControlBit, Register.STATUS: StatusBit}


@dataclass(frozen=True)
class Window:
    """Where a table lies. `parts`: registers of a word; `stride`: bytes from word to word; `span`: bytes of all, a power of two."""

    unit: str
    table: str
    address: int
    words: int
    width: int
    parts: int
    stride: int
    span: int


@dataclass(frozen=True)
class AxiPort:
    """An AXI4-Stream port and the stream of the graph behind it. `beats` of a frame; `tdata_bytes` of a beat."""

    port: str
    stream: str
    shape: tuple[int, ...]
    dtype: str
    bits: int
    lanes: int
    beats: int
    tdata_bytes: int


@dataclass(frozen=True)
class MemoryMap:
    """All that a host needs to know of a device."""

    graph_digest: str
    address_bits: int
    inputs: tuple[AxiPort, ...]
    outputs: tuple[AxiPort, ...]
    windows: tuple[Window, ...]

    def as_json(self) -> dict[str, Any]:
        """The document that `arbonn export --shell axi` writes."""
        registers = [
            {"name": r.name, "address": int(r), "meaning": MEANING[r], "bits": {b.name: b.value.bit_length() - 1 for b in BITS.get(r, ())}}
            for r in Register
        ]
        return {"schema": SCHEMA, "module": TOP, "id": MAGIC, "data_bits": DATA_BITS, **asdict(self), "registers": registers}

    def writes(self, network: DataflowGraph) -> list[tuple[int, int]]:
        """(address, data) of all writes, in order, that load the parameters of `network`, which is checked by `same_hardware` first."""
        found = []
        contents = {node.id: node.words(network.ports(node)) for node in runtime_units(network)}
        for window in self.windows:
            for number, word in enumerate(contents[window.unit][window.table]):
                for part in range(window.parts):
                    address = window.address + window.stride * number + STROBES * part
                    found.append((address, (word >> (DATA_BITS * part)) & ((1 << DATA_BITS) - 1)))
        return found


def memory_map(graph: DataflowGraph) -> MemoryMap:
    """The map of the graph's AXI shell."""
    windows, free = [], WINDOWS
    for node in runtime_units(graph):
        for name, table in node.tables(graph.ports(node)).items():
            parts = -(-table.width // DATA_BITS)
            stride = STROBES * _power(parts)
            span = stride * _power(table.depth)
            start = -(-free // span) * span  # aligned, so that decoding is comparing the high bits
            windows.append(Window(node.id, name, start, table.depth, table.width, parts, stride, span))
            free = start + span
    inputs = tuple(_port("s_axis", s, len(graph.inputs)) for s in graph.inputs)
    outputs = tuple(_port("m_axis", s, len(graph.outputs)) for s in graph.outputs)
    return MemoryMap(digest(graph), (free - 1).bit_length(), inputs, outputs, tuple(windows))


def _power(count: int) -> int:
    """The least power of two that is not below `count`."""
    return 1 << (count - 1).bit_length()


def _port(prefix: str, s: Stream, of: int) -> AxiPort:
    name = prefix if of == 1 else f"{prefix}_{s.id}"
    return AxiPort(name, s.id, s.shape, s.dtype.name, s.dtype.bits, s.lanes, s.transfers, beat_bytes(s))


def same_hardware(device: DataflowGraph, network: DataflowGraph) -> DataflowGraph:
    """Returns `network` if a device made of `device` can be loaded with it; raises GraphError with what differs otherwise."""
    found = list(_differences(device, network))
    if found:
        raise GraphError(
            "parameters to load",
            found="; ".join(found[:3]) + ("; ..." if len(found) > 3 else ""),
            allowed="a network that differs from the device's in its run-time parameters only",
            fix="lower both networks with --runtime-weights and the same folding",
        )
    return network


def _differences(device: DataflowGraph, network: DataflowGraph) -> Iterator[str]:
    for ours, theirs in zip_longest(device.streams, network.streams):
        if ours != theirs:
            yield f"stream {theirs and theirs.id}: {_stream(theirs)}, in the device {_stream(ours)}"
    for mine, other in zip_longest(device.nodes, network.nodes):
        if mine is None or other is None or (mine.id, mine.kind) != (other.id, other.kind):
            yield f"unit {_unit(other)}, in the device {_unit(mine)}"
        else:
            yield from (f"{mine.id}: another {name}" for name in _other_fields(mine, other))


def _other_fields(mine: Node, other: Node) -> Iterator[str]:
    loaded = isinstance(mine, Parametric) and mine.writable
    for field in fields(mine):
        a, b = getattr(mine, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            if a.shape != b.shape or not (loaded or np.array_equal(a, b)):
                yield field.name
        elif field.name != "origin" and (type(a) is not type(b) or a != b):
            yield field.name


def _stream(s: Stream | None) -> str:
    return "none" if s is None else f"{s.id} {s.shape} {s.dtype} by {s.lanes}"


def _unit(node: Node | None) -> str:
    return "none" if node is None else f"{node.id} ({node.kind})"
