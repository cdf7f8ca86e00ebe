"""A cocotb test for `test_bulk`: awaits what cocotb can wait for and writes down when it came and what it saw."""

from __future__ import annotations

import json
from pathlib import Path

import cocotb
from cocotb.handle import HierarchyObject, LogicObject
from cocotb.triggers import FallingEdge, NextTimeStep, ReadOnly, ReadWrite, RisingEdge, Timer, with_timeout
from cocotb.utils import get_sim_time


@cocotb.test()
async def events(dut: HierarchyObject) -> None:
    done = dut.done
    assert isinstance(done, LogicObject)
    seen = []
    for trigger in (
        *(RisingEdge(done), ReadOnly(), NextTimeStep(), FallingEdge(done), ReadWrite(), Timer(1, "ns")),
        *(with_timeout(RisingEdge(done), 50, "ns"), Timer(7, "ns"), ReadOnly(), done.value_change, done.value_change, ReadOnly()),
    ):
        await trigger
        seen.append([type(trigger).__name__, get_sim_time("ns"), str(done.value)])
        Path("events.json").write_text(json.dumps(seen))
