"""Addresses that follow a schedule: an affine form over its loops, modulo a memory's size, with no multiplier."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, Value

from arbonn.hw.sequencer import Sequencer


def address(m: Module, name: str, sequencer: Sequencer, deltas: list[int], words: int, start: int = 0) -> Signal:
    """A register below `words` that starts at `start` and on fire changes by deltas[k], k = loops that wrap, modulo `words`."""
    here, ahead = Signal(range(words), init=start % words, name=name), Signal(range(2 * words), name=f"{name}_ahead")
    change: Value = Const(0, range(words))
    for wraps, delta in enumerate(deltas):
        change = Mux(sequencer.carry[wraps], Const(delta % words, range(words)), change)
    m.d.comb += ahead.eq(here + change)
    with m.If(sequencer.fire):
        m.d.sync += here.eq(Mux(ahead >= words, ahead - words, ahead))
    return here
