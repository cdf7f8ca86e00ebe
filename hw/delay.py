"""A delay line counted in steps: what a datapath keeps of each of several channels while it goes round them."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib.memory import Memory


def delayed(m: Module, name: str, value: Value, steps: int, enable: Value) -> Value:
    """The bits that `value` had `steps` >= 1 enabled clocks ago (any before that): one register, or a memory that is read a step ahead."""
    if steps == 1:
        kept = Signal(len(value), name=name)
        with m.If(enable):
            m.d.sync += kept.eq(value)
        return kept
    memory = Memory(shape=unsigned(len(value)), depth=steps, init=[])
    m.submodules[name] = memory
    write, read = memory.write_port(), memory.read_port()
    here, following = Signal(range(steps), name=f"{name}_at"), Signal(range(steps), name=f"{name}_next")
    m.d.comb += following.eq(Mux(here == steps - 1, 0, here + 1))
    with m.If(enable):
        m.d.sync += here.eq(following)
    # The word read was written steps - 1 steps ago, so never in this same clock.
    m.d.comb += [write.addr.eq(here), write.data.eq(value), write.en.eq(enable), read.addr.eq(following), read.en.eq(enable)]
    return read.data
