"""The host against a device that runs in Amaranth's simulator behind a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from arbonn.errors import CheckError, InputError
from arbonn.flows.infer import Device, infer
from arbonn.flows.netlist import predicted_cycles
from arbonn.flows.serial_line import SerialPort
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.boards import board
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.shells.protocol import ends
from arbonn.hw.shells.uart import UartShell
from arbonn.sim.reference import execute
from tests.tiny import tiny_graph, tiny_images

BOARD = board("icebreaker")
DIVIDER, TIMEOUT = 4, 2000


class SimulatedBoard(threading.Thread):
    """Carries bytes between a pseudo-terminal and the shell's two wires, a simulated byte's time for each."""

    def __init__(self, graph: DataflowGraph, handle: int, corrupt: set[int]) -> None:
        super().__init__(daemon=True)
        self.handle, self.corrupt, self.stopping = handle, corrupt, threading.Event()
        self.shell = UartShell(*ends(graph), divider=DIVIDER, timeout=TIMEOUT)
        self.top = m = Module()
        m.submodules.shell = shell = self.shell
        m.submodules.accelerator = accelerator = Accelerator(graph)
        wiring.connect(m, shell.x, accelerator.x)
        for name in ("label", "logits"):
            wiring.connect(m, getattr(accelerator, name), getattr(shell, name))
        m.d.comb += [shell.version.eq(accelerator.version), shell.graph_hash.eq(accelerator.graph_hash)]

    def run(self) -> None:
        async def drive(context):
            sending: list[int] = []  # levels still to put on rx
            count = age = value = 0
            while not self.stopping.is_set():
                if not sending:
                    try:
                        data = os.read(self.handle, 1)
                    except BlockingIOError:
                        data = b""
                    if data:
                        byte = data[0] ^ (count in self.corrupt)  # the n-th byte of all arrives with a wrong bit
                        count += 1
                        sending = [level for bit in (0, *((byte >> k) & 1 for k in range(8)), 1) for level in [bit] * DIVIDER]
                context.set(self.shell.rx, sending.pop(0) if sending else 1)
                await context.tick()
                level = context.get(self.shell.tx)
                age = age + 1 if age or not level else 0
                bit, rest = divmod(age - DIVIDER // 2, DIVIDER)
                if age and rest == 0 and 1 <= bit <= 8:
                    value |= level << (bit - 1)
                elif age and rest == 0 and bit == 9:
                    os.write(self.handle, bytes([value]))
                    age = value = 0

        simulator = Simulator(self.top)
        simulator.add_clock(1e-6)
        simulator.add_testbench(drive)
        simulator.run()


@contextmanager
def simulated(graph: DataflowGraph, corrupt: set[int] = frozenset()) -> Iterator[str]:
    """The name of a serial port behind which a board with this graph runs."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    thread = SimulatedBoard(graph, ours, corrupt)
    thread.start()
    try:
        yield os.ttyname(theirs)
    finally:
        thread.stopping.set()
        thread.join()
        os.close(ours)
        os.close(theirs)


def test_a_device_gives_the_references_answers_and_the_predicted_cycles():
    graph = tiny_graph(elements=8, classes=3)
    images = tiny_images(graph, 3)
    with simulated(graph) as port:
        outcome = infer(port, graph, images, BOARD, check=True, patience=20)
    values = execute(graph, {"x": images})
    assert [r.label for r in outcome.results] == values["label"][:, 0].tolist()
    assert [list(r.logits) for r in outcome.results] == values["logits"].tolist()
    assert {r.cycles for r in outcome.results} == {predicted_cycles(graph)}
    assert (outcome.mismatches, outcome.retries) == (0, 0)


def test_broken_requests_are_sent_again():
    graph = tiny_graph(elements=8, classes=3)
    images = tiny_images(graph, 2)
    with simulated(graph, corrupt={2, 17, 33}) as port:  # in INFO's kind, in an image, in its repetition
        outcome = infer(port, graph, images, BOARD, check=True, patience=20)
    assert (outcome.mismatches, outcome.retries) == (0, 3)


def test_another_graph_on_the_device_is_refused():
    graph, other = tiny_graph(elements=8, classes=3), tiny_graph(elements=8, classes=3, seed=7)
    with simulated(other) as port, pytest.raises(CheckError) as caught:
        infer(port, graph, tiny_images(graph, 1), BOARD, patience=20)
    where, allowed, fix = str(caught.value).splitlines()
    assert where.startswith(f"CheckError: {port}: the device holds another graph: ")
    assert where.endswith("(8 elements of 4 bits, 3 classes, arbonn 0.1)")
    assert allowed.startswith("  allowed  the graph given: ")
    assert fix == "  fix      program the board: iceprog top.bin"


class Silent:
    def write(self, data: bytes) -> None:
        pass

    def read(self, seconds: float) -> bytes:
        return b""


def test_a_silent_device_is_told():
    with pytest.raises(CheckError) as caught:
        Device(Silent(), "/dev/ttyUSB1", pause=0.0, patience=0.01, program="iceprog top.bin").info()
    assert str(caught.value) == (
        "CheckError: /dev/ttyUSB1: the device is silent: 3 requests, no byte in 0.01 s\n"
        "  allowed  a board with this project's bitstream\n"
        "  fix      another port, or program the board: iceprog top.bin"
    )


class Noise(Silent):
    def read(self, seconds: float) -> bytes:
        return b"\xa5\x01"


def test_noise_is_no_answer():
    with pytest.raises(CheckError, match=r"no good answer in 3 attempts: .* bytes that are no frame"):
        Device(Noise(), "/dev/ttyUSB1", pause=0.0, patience=0.01, program="iceprog top.bin").info()


def test_a_port_that_is_not_there_is_told():
    with pytest.raises(InputError) as caught:
        SerialPort("/dev/no-such-port", 3_000_000)
    first, second = str(caught.value).splitlines()
    assert first == "InputError: --port: '/dev/no-such-port' cannot be opened (No such file or directory)"
    assert second.startswith("  allowed  a port of this machine")


def test_a_file_is_no_port(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is no serial port"):
        SerialPort(str(tmp_path / "file"), 3_000_000)


def test_images_of_another_shape_are_refused():
    graph = tiny_graph(elements=8, classes=3)
    with pytest.raises(InputError) as caught:
        infer(Silent(), graph, tiny_images(tiny_graph(elements=16), 2), BOARD)
    assert str(caught.value) == "InputError: images: shape (2, 16)\n  allowed  (frames, 8) of UINT4 values"
