"""The cocotb side of `arbonn.sim.pins`: runs inside the simulator, in the folder of one session."""

from __future__ import annotations

import json
from pathlib import Path

import cocotb
from cocotb.handle import HierarchyObject, LogicObject
from cocotb.simtime import get_sim_time
from cocotb.triggers import FallingEdge, First, Timer

from arbonn.hw.shells.protocol import Decoder, Frame, encode
from arbonn.sim.pins import CYCLE_NS, SETTLE_CYCLES


class Wires:
    """The two serial wires: sends bytes on rx, collects edges and frames of tx."""

    def __init__(self, dut: HierarchyObject, divider: int, lengths: dict[int, int]) -> None:
        rx, tx = dut.rx, dut.tx
        assert isinstance(rx, LogicObject)
        assert isinstance(tx, LogicObject)
        self.rx, self.tx, self.divider = rx, tx, divider
        self.decoder = Decoder(lengths)
        self.frames: list[Frame] = []
        self.edges: list[int] = []

    async def send(self, data: bytes) -> None:
        for byte in data:
            for bit in (0, *((byte >> k) & 1 for k in range(8)), 1):
                self.rx.value = bit
                await Timer(self.divider * CYCLE_NS, "ns")

    async def record(self) -> None:
        while True:
            await self.tx.value_change
            self.edges.append(cycle())

    async def listen(self) -> None:
        while True:
            await FallingEdge(self.tx)
            value = 0
            await Timer(self.divider * CYCLE_NS * 3 // 2, "ns")
            for bit in range(8):
                value |= int(self.tx.value == 1) << bit
                await Timer(self.divider * CYCLE_NS, "ns")
            self.frames += self.decoder.feed(bytes([value]))


def cycle() -> int:
    """The cycle whose rising edge was last: what it changed is its doing."""
    return int((get_sim_time("ns") - CYCLE_NS // 2) // CYCLE_NS)


@cocotb.test()
async def converse(dut: HierarchyObject) -> None:
    job = json.loads(Path("session.json").read_text())
    wires = Wires(dut, job["divider"], {int(k): v for k, v in job["lengths"].items()})
    await Timer(SETTLE_CYCLES * CYCLE_NS, "ns")
    cocotb.start_soon(wires.record())
    cocotb.start_soon(wires.listen())
    answers = []
    for request in job["requests"]:
        await wires.send(bytes.fromhex(request))
        end = cycle() + job["patience"]
        while not wires.frames and cycle() < end:
            # A byte's time at most between looks: the next request starts in the same cycle, whatever the answer is.
            await First(wires.tx.value_change, Timer(10 * wires.divider * CYCLE_NS, "ns"))
        frame = wires.frames.pop(0) if wires.frames else None
        answers.append("" if frame is None else encode(frame.kind, frame.payload).hex())
        await Timer(CYCLE_NS - get_sim_time("ns") % CYCLE_NS, "ns")  # back to the middle between two rising edges
    await Timer(20 * job["divider"] * CYCLE_NS, "ns")
    Path("seen.json").write_text(json.dumps({"answers": answers, "edges": wires.edges, "cycles": cycle()}))
