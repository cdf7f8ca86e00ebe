"""The cocotb side of `test_axi`: the AXI shell in the simulator, driven by cocotbext-axi. Runs in the folder of one case.

device/, other/   graphs of the device and of another network for the same hardware
case.json         frames' seed and count, and the cycle counter's predicted value for them
"""

from __future__ import annotations

import itertools
import random

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge, Timer, with_timeout
from cocotbext.axi import AxiResp, AxiStreamFrame

from arbonn.hw.accelerator import version_code
from arbonn.hw.shells.axi_map import MAGIC, WINDOWS, ControlBit, Register, StatusBit
from arbonn.sim.reference import execute
from tests.hw.shells.axi_driver import CASE, DEVICE, FRAMES, MAP, OTHER, Shell, beats, pauses


@cocotb.test()
@cocotb.parametrize(source=[0.0, 0.7], sink=[0.0, 0.7])
async def frames_are_the_references(dut, source: float, sink: float) -> None:
    shell = await Shell.start(dut)
    shell.pause(source, sink, seed=int(10 * source + sink))
    await shell.check(DEVICE)


@cocotb.test()
async def bursts_and_long_pauses_change_nothing(dut) -> None:
    shell = await Shell.start(dut)
    shell.source.set_pause_generator(itertools.cycle([False] * 9 + [True] * 23))
    for number, sink in enumerate(shell.sinks.values()):
        sink.set_pause_generator(itertools.cycle([True] * (40 + 7 * number) + [False] * 11))
    await shell.check(DEVICE)


@cocotb.test()
async def registers_count_frames_and_the_predicted_cycles(dut) -> None:
    shell = await Shell.start(dut)
    digest = int(MAP.graph_digest[:16], 16)
    assert await shell.read(Register.ID) == MAGIC
    assert await shell.read(Register.VERSION) == 1 << 16 | version_code()
    assert await shell.read(Register.GRAPH_HASH_LOW) | await shell.read(Register.GRAPH_HASH_HIGH) << 32 == digest
    for count in (1, len(FRAMES)):  # counted from the first beat since the reset, so a reset lies between
        assert [await shell.read(r) for r in (Register.STATUS, Register.FRAMES_IN, Register.FRAMES_OUT, Register.CYCLES)] == [0] * 4
        await shell.check(DEVICE, FRAMES[:count])
        assert await shell.read(Register.CYCLES) == CASE["cycles"][str(count)]
        assert await shell.read(Register.FRAMES_IN) == await shell.read(Register.FRAMES_OUT) == count
        assert await shell.read(Register.STATUS) == StatusBit.DONE
        assert await shell.write(Register.CONTROL, ControlBit.RESET) == AxiResp.OKAY


@cocotb.test()
async def done_interrupts_where_it_is_let_and_clears(dut) -> None:
    shell = await Shell.start(dut)
    assert await shell.write(Register.CONTROL, ControlBit.INTERRUPT) == AxiResp.OKAY
    assert await shell.read(Register.CONTROL) == ControlBit.INTERRUPT
    assert dut.interrupt.value == 0
    await shell.check(DEVICE, FRAMES[:1])
    assert dut.interrupt.value == 1
    assert await shell.write(Register.STATUS, StatusBit.MISPLACED) == AxiResp.OKAY  # another flag's bit clears that flag only
    assert dut.interrupt.value == 1
    assert await shell.write(Register.CONTROL, 0) == AxiResp.OKAY
    assert dut.interrupt.value == 0
    assert await shell.read(Register.STATUS) == StatusBit.DONE
    assert await shell.write(Register.STATUS, StatusBit.DONE) == AxiResp.OKAY
    assert await shell.read(Register.STATUS) == 0


@cocotb.test()
async def another_network_can_be_loaded_and_survives_resets(dut) -> None:
    shell = await Shell.start(dut)
    expected = [execute(network, {network.inputs[0].id: FRAMES}) for network in (DEVICE, OTHER)]
    assert any((expected[0][s.id] != expected[1][s.id]).any() for s in DEVICE.outputs), "networks that nothing could tell apart"
    await shell.load(OTHER)
    await shell.check(OTHER)
    assert await shell.read(Register.CYCLES) == CASE["cycles"][str(len(FRAMES))]
    assert await shell.read(Register.STATUS) == StatusBit.DONE
    await shell.reset()
    await shell.check(OTHER, FRAMES[:1])
    assert await shell.write(Register.CONTROL, ControlBit.RESET) == AxiResp.OKAY
    await shell.check(OTHER, FRAMES[1:2])
    await shell.load(DEVICE)
    await shell.check(DEVICE)


@cocotb.test()
async def a_reset_in_the_middle_of_a_frame_leaves_nothing_of_it(dut) -> None:
    shell = await Shell.start(dut)
    draw = random.Random(5)
    for number in range(8):
        shell.pause(0.5, 0.5, seed=number)
        for frame in beats(FRAMES, DEVICE.inputs[0]):
            shell.source.send_nowait(AxiStreamFrame(frame))
        for _ in range(draw.randrange(3, 2 * CASE["cycles"]["1"])):
            await RisingEdge(dut.aclk)
        if number % 2:
            shell.source.clear()  # a host stops before it resets the device only: what is on its way, one beat at most, is not taken
            shell.source.pause = True
            shell.source.clear_pause_generator()
            assert await shell.write(Register.CONTROL, ControlBit.RESET) == AxiResp.OKAY
            for end in (shell.source, *shell.sinks.values()):  # cocotbext-axi forgets a frame that it has begun in its own reset only
                end.assert_reset()
                end.clear()
            await RisingEdge(dut.aclk)
            assert await shell.write(Register.CONTROL, ControlBit.RESET) == AxiResp.OKAY  # drops a beat that came after the first
        else:
            await shell.reset()
        shell.pause(0.0, 0.0, seed=0)
        assert await shell.read(Register.FRAMES_IN) == 0
        await shell.check(DEVICE, FRAMES[:2])
        assert await shell.read(Register.CYCLES) == CASE["cycles"]["2"]
        assert await shell.read(Register.STATUS) == StatusBit.DONE


@cocotb.test()
async def what_a_host_does_wrong_is_told(dut) -> None:
    shell = await Shell.start(dut)
    (frame,), beat = beats(FRAMES[:1], DEVICE.inputs[0]), MAP.inputs[0].tdata_bytes
    shell.source.send_nowait(AxiStreamFrame(frame[:beat]))  # TLAST with the first of several beats
    shell.source.send_nowait(AxiStreamFrame(frame[beat:]))
    for sink in shell.sinks.values():
        await with_timeout(sink.recv(), 100, "us")
    assert await shell.read(Register.STATUS) == StatusBit.DONE | StatusBit.MISPLACED
    assert await shell.write(Register.STATUS, 0xFFFF_FFFF) == AxiResp.OKAY
    shell.source.send_nowait(AxiStreamFrame(frame[:beat] + frame[:beat]))
    while await shell.read(Register.FRAMES_IN) != 2:
        pass
    assert await shell.read(Register.STATUS) & StatusBit.BUSY
    address, data = MAP.writes(DEVICE)[0]
    assert await shell.write(address, data) == AxiResp.OKAY
    assert await shell.read(Register.STATUS) & StatusBit.OVERLAP
    assert await shell.write(Register.STATUS, StatusBit.OVERLAP) == AxiResp.OKAY
    assert await shell.read(Register.STATUS) & (StatusBit.OVERLAP | StatusBit.BUSY) == StatusBit.BUSY


@cocotb.test()
@cocotb.parametrize(slow=["aw", "w", "b", "ar", "r", "all"])
async def any_order_and_any_pause_of_the_channels_is_good(dut, slow: str) -> None:
    shell = await Shell.start(dut)
    write, read = shell.lite.write_if, shell.lite.read_if
    channels = {"aw": write.aw_channel, "w": write.w_channel, "b": write.b_channel, "ar": read.ar_channel, "r": read.r_channel}
    for number, (name, channel) in enumerate(channels.items()):
        if slow in (name, "all"):
            channel.set_pause_generator(pauses(0.8, number))
    writes = [cocotb.start_soon(shell.write(*pair)) for pair in MAP.writes(OTHER)]  # several at once: queued in order by the master
    reads = [cocotb.start_soon(shell.read(Register.ID)) for _ in range(20)]
    assert [await task for task in writes] == [AxiResp.OKAY] * len(writes)
    assert [await task for task in reads] == [MAGIC] * len(reads)
    await shell.check(OTHER, FRAMES[:1])
    await shell.load(DEVICE)


@cocotb.test()
async def what_is_no_register_answers_slverr_and_changes_nothing(dut) -> None:
    shell = await Shell.start(dut)
    inside = {
        window.address + window.stride * word + 4 * part
        for window in MAP.windows
        for word in range(window.words)
        for part in range(window.parts)
    }
    beside = sorted({a + d for a in inside for d in (-4, 4)} - inside)  # next to a register of a table, and in the holes of a window
    nowhere = [0x24, 0x100, WINDOWS - 4, (1 << MAP.address_bits) - 4]
    for address in dict.fromkeys(a for a in [*nowhere, *beside] if a not in inside and a < 1 << MAP.address_bits):
        assert await shell.write(address, 0xFFFF_FFFF) == AxiResp.SLVERR, hex(address)
        assert (await shell.lite.read(address, 4)).resp == AxiResp.SLVERR, hex(address)
    for register in set(Register) - {Register.CONTROL, Register.STATUS}:
        assert await shell.write(register, 1) == AxiResp.SLVERR
    for address in sorted(inside)[:4]:
        assert (await shell.lite.read(address, 4)) == (address, b"\0\0\0\0", AxiResp.SLVERR)
        assert (await shell.lite.write(address, b"\1")).resp == AxiResp.SLVERR  # WSTRB leaves out bytes
        assert (await shell.lite.write(address + 1, b"\1\2\3")).resp == AxiResp.SLVERR  # not a multiple of 4
        assert (await shell.lite.read(address + 2, 2)).resp == AxiResp.SLVERR
    assert (await shell.lite.write(Register.CONTROL + 1, b"\1\2\3")).resp == AxiResp.SLVERR
    assert await shell.read(Register.CONTROL) == 0
    await shell.check(DEVICE)


@cocotb.test()
async def no_output_follows_an_input_within_a_cycle(dut) -> None:
    """AXI allows no path of gates between them: whatever happens to the inputs in mid-cycle, no output moves."""
    shell = await Shell.start(dut)
    shell.pause(0.0, 0.97, seed=3)  # full from end to end most of the time: only then can a ready go all the way
    shell.lite.write_if.b_channel.set_pause_generator(pauses(0.5, 1))
    shell.lite.read_if.r_channel.set_pause_generator(pauses(0.5, 2))
    for frame in 10 * beats(FRAMES, DEVICE.inputs[0]):
        shell.source.send_nowait(AxiStreamFrame(frame))
    traffic = [cocotb.start_soon(shell.load(OTHER)), *(cocotb.start_soon(shell.read(Register.STATUS)) for _ in range(30))]
    ports = [port for port in dut if port._name.startswith(("s_ax", "m_ax", "interrupt")) and "__" not in port._name]
    ready = {f"{end.port}_tready" for end in MAP.outputs}
    driven = ("s_axi_aw", "s_axi_w", "s_axi_ar", "s_axis_t", "s_axi_bready", "s_axi_rready")
    given = ("s_axi_awready", "s_axi_wready", "s_axi_arready", "s_axis_tready")
    inputs = [p for p in ports if (p._name.startswith(driven) and p._name not in given) or p._name in ready]
    outputs = [p for p in ports if p not in inputs]
    assert len(inputs) == 11 + 3 + len(ready), [p._name for p in inputs]
    draw = random.Random(0)
    for _ in range(400):
        await FallingEdge(dut.aclk)
        before, kept = [str(p.value) for p in outputs], [p.value for p in inputs]
        for port in inputs:
            port.value = draw.getrandbits(len(port))
        await Timer(1, "ns")
        assert [str(p.value) for p in outputs] == before
        for port, value in zip(inputs, kept, strict=True):
            port.value = value
        await Timer(1, "ns")
    for task in traffic:
        await task
    await ReadOnly()
    assert not shell.broken, shell.broken[0]
