"""The cocotb test: the RTL equals the reference in every bit of every transfer and the prediction in every cycle.

Runs inside the simulator, in the folder of one run. The HDL bench (`arbonn.sim.harness`) drives and records; this waits for its `done`,
compares its records with `expected.npz` and writes `result.json`. Without `expected.npz` it only waits.
"""

from __future__ import annotations

import time
from pathlib import Path

import cocotb
from cocotb.handle import HierarchyObject, LogicObject
from cocotb.triggers import RisingEdge

from arbonn.sim.records import judge


@cocotb.test()
async def rtl_equals_reference_and_prediction(dut: HierarchyObject) -> None:
    done = dut.done
    assert isinstance(done, LogicObject)
    start = time.perf_counter()
    await RisingEdge(done)
    compared = judge(Path.cwd(), time.perf_counter() - start)
    if compared is not None:
        assert compared.equal, str(compared.first)
