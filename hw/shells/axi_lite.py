"""AXI4-Lite slave of 32 bits (Arm IHI 0022), one access at a time each way."""

from __future__ import annotations

from enum import IntEnum

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

DATA_BITS = 32
STROBES = DATA_BITS // 8


class Response(IntEnum):
    """BRESP and RRESP, as far as this slave gives them."""

    OKAY = 0
    SLVERR = 2


def lite_signature(address_bits: int) -> wiring.Signature:
    """All of AXI4-Lite's signals but clock and reset, as the master sees them."""
    write = {
        "awaddr": Out(address_bits), "awprot": Out(3), "awvalid": Out(1), "awready": In(1),
        "wdata": Out(DATA_BITS), "wstrb": Out(STROBES), "wvalid": Out(1), "wready": In(1),
        "bresp": In(2), "bvalid": In(1), "bready": Out(1),
    }  # fmt: skip
    read = {
        "araddr": Out(address_bits), "arprot": Out(3), "arvalid": Out(1), "arready": In(1),
        "rdata": In(DATA_BITS), "rresp": In(2), "rvalid": In(1), "rready": Out(1),
    }  # fmt: skip
    return wiring.Signature(write | read)


def write_signature(address_bits: int) -> wiring.Signature:
    """A write: en for one cycle; in the same cycle `ok` says whether the address takes it."""
    return wiring.Signature({"en": Out(1), "addr": Out(address_bits), "data": Out(DATA_BITS), "ok": In(1)})


def read_signature(address_bits: int) -> wiring.Signature:
    """A read: en for one cycle; in the same cycle `data`, and whether the address can be read."""
    return wiring.Signature({"en": Out(1), "addr": Out(address_bits), "data": In(DATA_BITS), "ok": In(1)})


class AxiLite(wiring.Component):
    """Turns a master's channels into writes and reads of whole, aligned words.

    Ports     bus: the slave's side.    write, read: to what has the registers.
    Order     address and data of a write come in any order. Writes and reads do not wait for each other.
    Refused   SLVERR, and nothing is written: an address that `ok` denies or that is not a multiple of 4, a write whose WSTRB leaves out
              a byte. AWPROT and ARPROT are not looked at.
    Timing    `write.en` one cycle after the later of address and data, BVALID one after that; `read.en` one after the address, RVALID one
              after that. II 2 for a master that is always ready. All outputs are registers.
    Stalls    a response holds until taken; one more access is taken meanwhile, and waits.
    """

    def __init__(self, address_bits: int) -> None:
        bus, write, read = lite_signature(address_bits), write_signature(address_bits), read_signature(address_bits)
        super().__init__({"bus": In(bus), "write": Out(write), "read": Out(read)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus, write, read = self.bus, self.write, self.read

        addressed, filled, strobes = Signal(), Signal(), Signal(STROBES)
        m.d.comb += [bus.awready.eq(~addressed), bus.wready.eq(~filled)]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [addressed.eq(1), write.addr.eq(bus.awaddr)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [filled.eq(1), write.data.eq(bus.wdata), strobes.eq(bus.wstrb)]
        go, whole = Signal(), Signal()
        m.d.comb += [go.eq(addressed & filled & ~bus.bvalid), whole.eq(strobes.all() & (write.addr[:2] == 0)), write.en.eq(go & whole)]
        with m.If(go):
            m.d.sync += [addressed.eq(0), filled.eq(0), bus.bvalid.eq(1)]
            m.d.sync += bus.bresp.eq(Mux(whole & write.ok, Response.OKAY, Response.SLVERR))
        with m.Elif(bus.bready):
            m.d.sync += bus.bvalid.eq(0)

        asked = Signal()
        m.d.comb += [bus.arready.eq(~asked), read.en.eq(asked & ~bus.rvalid)]
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [asked.eq(1), read.addr.eq(bus.araddr)]
        good = read.ok & (read.addr[:2] == 0)
        with m.If(read.en):
            m.d.sync += [asked.eq(0), bus.rvalid.eq(1), bus.rdata.eq(Mux(good, read.data, 0))]
            m.d.sync += bus.rresp.eq(Mux(good, Response.OKAY, Response.SLVERR))
        with m.Elif(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        return m
