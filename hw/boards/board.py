"""What a board is to us, and an accelerator's top module on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from amaranth.build import Subsignal
from amaranth.hdl import Module
from amaranth.lib import io, wiring

from arbonn.hw.graph import Stream
from arbonn.hw.shells.uart import UartShell


@dataclass(frozen=True)
class Board:
    """One board. A new one is one new file with a `BOARD`.

    platform   makes an amaranth-boards platform (a platform serves one build).    family  `ice40`, … : which tools build it.
    clock_mhz  the clock that the design runs on; `baud` divides it.
    level_ns   of a LUT, or an adder, with its wires, as routed (`arbonn.hw.pipeline`).
    uart       name and number of the platform's serial resource.
    resources  what the device has: luts, ffs, brams, and `bram_bits` of one.    program  the line that loads `{bitstream}` into it.
    """

    name: str
    family: str
    platform: Callable[[], Any]
    clock_mhz: float
    level_ns: float
    baud: int
    resources: Mapping[str, int]
    uart: tuple[str, int] = ("uart", 0)
    program: str = "openFPGALoader {bitstream}"

    def __post_init__(self) -> None:
        assert self.clock_mhz * 1e6 % self.baud == 0, "the line's rate must divide the clock: an inexact one would eat the margin"

    @property
    def divider(self) -> int:
        """Clock cycles a bit on the line."""
        return round(self.clock_mhz * 1e6) // self.baud

    def link_fps(self, request_bytes: int, answer_bytes: int) -> float:
        """Frames a second that the line can carry, whole frames of the protocol counted, ten bits a byte."""
        return self.baud / (10 * (request_bytes + answer_bytes))


class BoardTop(wiring.Component):
    """Everything on the device: the board's serial pins, the UART shell, the accelerator. Clock and power-on reset are the platform's.

    accelerator  a component with the members of `arbonn.hw.accelerator.Accelerator`.    ends  its input, label and logits.
    """

    def __init__(self, board: Board, accelerator: wiring.Component, ends: tuple[Stream, Stream, Stream]) -> None:
        self.board, self.accelerator, self.ends = board, accelerator, ends
        self.shell = UartShell(*ends, divider=board.divider)
        super().__init__({})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        x, label, logits = (s.id for s in self.ends)
        m.submodules.shell = shell = self.shell
        m.submodules.accelerator = accelerator = self.accelerator
        wiring.connect(m, shell.x, getattr(accelerator, x))
        wiring.connect(m, shell.label, getattr(accelerator, label))
        wiring.connect(m, shell.logits, getattr(accelerator, logits))
        m.d.comb += [shell.version.eq(accelerator.version), shell.graph_hash.eq(accelerator.graph_hash)]
        resource = platform.lookup(*self.board.uart)  # it may have handshake pins too: they stay unused
        pins = platform.request(*self.board.uart, dir={part.name: "-" for part in resource.ios if isinstance(part, Subsignal)})
        m.submodules.rx = rx = io.Buffer("i", pins.rx)
        m.submodules.tx = tx = io.Buffer("o", pins.tx)
        m.d.comb += [shell.rx.eq(rx.i), tx.o.eq(shell.tx)]
        return m
