"""The AXI shell in the simulator behind cocotbext-axi: its ends, its registers, and the case of the folder where it runs (`axi_bench`)."""

from __future__ import annotations

import itertools
import json
import logging
import random
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp, AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from arbonn.hw import graph_file
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph, Stream
from arbonn.hw.packing import pack
from arbonn.hw.shells.axi_map import memory_map, same_hardware
from arbonn.sim.reference import execute

CASE = json.loads(Path("case.json").read_text())
DEVICE = graph_file.load(Path("device"))
OTHER = same_hardware(DEVICE, graph_file.load(Path("other")))
MAP = memory_map(DEVICE)
FRAMES: Integers = np.random.default_rng(CASE["seed"]).choice(DEVICE.inputs[0].dtype.every(), (CASE["frames"], *DEVICE.inputs[0].shape))
PERIOD_NS = 10
HELD = [f"{end.port}_t" for end in MAP.outputs] + ["s_axi_b", "s_axi_r"]  # the shell's own valids, by prefix
PAYLOADS = {"s_axi_b": ("s_axi_bresp",), "s_axi_r": ("s_axi_rdata", "s_axi_rresp")}


def beats(values: Integers, s: Stream) -> list[bytes]:
    """Each frame as the bytes of its beats."""
    size = (s.width + 7) // 8
    words = [word.to_bytes(size, "little") for word in pack(values, s)]
    return [b"".join(words[at : at + s.transfers]) for at in range(0, len(words), s.transfers)]


def pauses(probability: float, seed: int):
    draw = random.Random(seed)
    return (draw.random() < probability for _ in itertools.count())


class Shell:
    """The device under test with a source, a sink at each output, and a master of its registers."""

    def __init__(self, dut) -> None:
        logging.getLogger("cocotb").setLevel(logging.ERROR)  # each frame and each access is a line otherwise
        self.dut = dut
        self.broken: list[str] = []
        around = {"clock": dut.aclk, "reset": dut.aresetn, "reset_active_level": False}
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), **around)
        self.sinks = {end.stream: AxiStreamSink(AxiStreamBus.from_prefix(dut, end.port), **around) for end in MAP.outputs}
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), **around)

    @classmethod
    async def start(cls, dut) -> Shell:
        dut.aresetn.value = 0
        cocotb.start_soon(Clock(dut.aclk, PERIOD_NS, unit="ns").start())
        shell = cls(dut)
        await shell.reset()
        cocotb.start_soon(shell.watch())
        return shell

    async def reset(self) -> None:
        """Also what the ends have kept: they are of one system and are reset as one."""
        self.dut.aresetn.value = 0
        for _ in range(2):
            await RisingEdge(self.dut.aclk)
        for end in (self.source, *self.sinks.values()):
            end.clear()
        self.dut.aresetn.value = 1
        await RisingEdge(self.dut.aclk)

    async def watch(self) -> None:
        """Valid and what goes with it hold until ready: on the shell's outputs, while there is no reset."""
        before: dict[str, tuple[str, ...] | None] = dict.fromkeys(HELD)
        while True:
            await RisingEdge(self.dut.aclk)
            for prefix, held in before.items():
                names = PAYLOADS.get(prefix, (f"{prefix}data", f"{prefix}last"))
                valid, ready = (str(getattr(self.dut, f"{prefix}{what}").value) for what in ("valid", "ready"))
                now = tuple(str(getattr(self.dut, name).value) for name in names)
                reset = self.dut.aresetn.value == 0 or int(self.dut.shell.registers.clear.value)
                if not reset and (valid not in "01" or (held is not None and (valid, *now) != ("1", *held))):
                    self.broken.append(f"{prefix}: {held} became {valid} {now}")
                before[prefix] = now if valid == "1" and ready == "0" and not reset else None

    async def infer(self, values: Integers) -> dict[str, list[bytes]]:
        """Sends frames and takes as many from each output, where each ends at its TLAST."""
        for frame in beats(values, DEVICE.inputs[0]):
            self.source.send_nowait(AxiStreamFrame(frame))
        return {name: [bytes((await with_timeout(sink.recv(), 100, "us")).tdata) for _ in values] for name, sink in self.sinks.items()}

    async def check(self, network: DataflowGraph, values: Integers = FRAMES) -> None:
        """The device computes what `network` does."""
        expected = execute(network, {network.inputs[0].id: values})
        seen = await self.infer(values)
        assert seen == {s.id: beats(expected[s.id], s) for s in network.outputs}
        for _ in range(20):
            await RisingEdge(self.dut.aclk)
        assert all(sink.empty() for sink in self.sinks.values()), "an output gave more than it was asked for"
        assert not self.broken, self.broken[0]

    async def load(self, network: DataflowGraph) -> None:
        for address, data in MAP.writes(network):
            assert await self.write(address, data) == AxiResp.OKAY

    async def write(self, address: int, data: int) -> AxiResp:
        return (await self.lite.write(address, data.to_bytes(4, "little"))).resp

    async def read(self, address: int) -> int:
        found = await self.lite.read(address, 4)
        assert found.resp == AxiResp.OKAY
        return int.from_bytes(found.data, "little")

    def pause(self, source: float, sinks: float, seed: int) -> None:
        self.source.set_pause_generator(pauses(source, seed) if source else None)
        self.source.pause = False
        for number, sink in enumerate(self.sinks.values()):
            sink.set_pause_generator(pauses(sinks, seed + 1 + number) if sinks else None)
            sink.pause = False
