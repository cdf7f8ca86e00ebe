"""Parameters of a unit in memory: constant tables, or tables that a host writes at run time.

A unit with parameters says once how they lie in memory, `tables` and `words`: the RTL takes its contents and its write ports from there,
the memory map its addresses, the host the words it writes, `cost` the sizes.

constant   a ROM, of which the tool makes block RAM, LUTs or wires; block RAM for certain if the table is one of the unit's `blocks`.
runtime    a memory with a write port beside the ROM's read port: the same contents from power-on, the same cycles. A word written in cycle
           t is what is read from cycle t + 1 on; a read in cycle t itself still gives the old one. A table of one word is seen at
           once, also by what is under way. A reset leaves what was written. Load between frames: a frame that is under way computes
           with old words in some folds and new ones in others. Its cycles, and all of the next frame, are as they should be.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from amaranth.hdl import Module, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory, WritePort
from amaranth.lib.wiring import Out

from arbonn.hw.cost.cost import Parts
from arbonn.hw.cost.memory import memory_parts
from arbonn.hw.graph import UNSAVED_DEFAULT, DataflowGraph, Node, Ports, Stream
from arbonn.hw.rom import BLOCK_RAM, rom
from arbonn.hw.unit_component import UnitComponent

CONSTANT, RUNTIME = "constant", "runtime"
LOOKED_AT = 1 << 13  # bits of a table whose contents its cost looks at


class Table(NamedTuple):
    """Size of one memory of parameters: words, and bits of a word."""

    depth: int
    width: int

    @property
    def port(self) -> wiring.Signature:
        """Signature of its write port, as `amaranth.lib.memory` has it: en, addr, data."""
        return WritePort.Signature(addr_width=max(1, (self.depth - 1).bit_length()), shape=unsigned(self.width))


@dataclass(frozen=True, eq=False)
class Parametric(Node):
    """A unit that computes with parameters. `parameters`: "constant", or "runtime" for memories that can be written.

    blocks  names of tables that have to be in block RAM; what is not named lies where the tool finds best. They change no value, no cycle.
    """

    parameters: str = field(default=CONSTANT, kw_only=True, metadata=UNSAVED_DEFAULT)
    blocks: tuple[str, ...] = field(default=(), kw_only=True, metadata=UNSAVED_DEFAULT)

    @property
    def writable(self) -> bool:
        """True for run-time parameters."""
        return self.parameters == RUNTIME

    @abstractmethod
    def tables(self, ports: Ports) -> dict[str, Table]:
        """The memories by name; of a run-time unit their sizes depend on shapes and types only, not on the parameters."""

    @abstractmethod
    def words(self, ports: Ports) -> dict[str, list[int]]:
        """What each of `tables` holds, from address 0 on."""

    def parameter_problems(self) -> list[str]:
        """What is not legal about `parameters`."""
        return [] if self.parameters in (CONSTANT, RUNTIME) else [f"{self.parameters!r} parameters ({CONSTANT} or {RUNTIME})"]

    def tables_parts(self, ports: Ports, target: str) -> Parts:
        """Parts of all `tables`: of small ones that are never written their contents decide."""
        found, contents = Parts(), dict[str, list[int]]()
        for name, (depth, width) in self.tables(ports).items():
            if not self.writable and depth > 1 and depth * width <= LOOKED_AT:
                contents = contents or self.words(ports)
            found += memory_parts(depth, width, target, "old" if self.writable else "table", contents.get(name), name in self.blocks)
        return found


def load_signature(node: Parametric, ports: Ports) -> wiring.Signature:
    """A write port for each table of a run-time unit, by the table's name."""
    return wiring.Signature({name: Out(table.port) for name, table in node.tables(ports).items()})


class ParametricComponent(UnitComponent):
    """A unit that reads tables. With run-time parameters it has the port `load` (`load_signature`)."""

    node: Parametric

    def __init__(self, node: Parametric, ports: Mapping[str, Stream]) -> None:
        super().__init__(node, ports, {"load": Out(load_signature(node, ports))} if node.writable else {})

    @cached_property
    def contents(self) -> dict[str, list[int]]:
        """`words` of the node, made once."""
        return self.node.words(self.streams)

    def table(self, m: Module, name: str, address: Value, enable: Value) -> Value:
        """The word at `address` of a table one clock later, when `enable` was high; else the last one again."""
        depth, width = self.node.tables(self.streams)[name]
        words = self.contents[name]
        if not self.node.writable:
            return rom(m, name, words, width, address, enable, block=name in self.node.blocks)
        load: Any = getattr(self.load, name)
        # A memory for one word too: a register that no reset clears is X in Icarus, whose processes do not run at time 0.
        m.submodules[name] = memory = Memory(
            shape=unsigned(width), depth=depth, init=words, attrs=BLOCK_RAM if name in self.node.blocks else {}
        )  # fmt: skip
        write = memory.write_port()
        m.d.comb += [write.en.eq(load.en), write.addr.eq(load.addr), write.data.eq(load.data)]
        if depth == 1:
            return memory.read_port(domain="comb").data
        port = memory.read_port()
        m.d.comb += [port.addr.eq(address), port.en.eq(enable)]
        return port.data


def runtime_units(graph: DataflowGraph) -> list[Parametric]:
    """The graph's units with run-time parameters, in its order."""
    return [node for node in graph.nodes if isinstance(node, Parametric) and node.writable]


def with_runtime_parameters(graph: DataflowGraph) -> DataflowGraph:
    """The same network with every unit's parameters in memory that can be written, where the unit knows how."""
    nodes = [replace(node, parameters=RUNTIME) if isinstance(node, Parametric) else node for node in graph.nodes]
    return graph.with_nodes(nodes, graph.streams)
