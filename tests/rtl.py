"""Runs a graph's RTL in Amaranth's own simulator: quick to start, so property tests of small graphs use it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import numpy as np
from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator, SimulatorContext

from arbonn.hw.accelerator import Accelerator
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.packing import pack
from arbonn.sim.trace import Stalls, Trace

Before = Callable[[SimulatorContext, Accelerator], Awaitable[None]]


def run_rtl(
    graph: DataflowGraph,
    inputs: Mapping[str, Integers],
    stalls: Stalls,
    cycles: int,
    top: Elaboratable | None = None,
    before: Before | None = None,
) -> Trace:
    """Every transfer on every stream in the first `cycles` cycles, and the breaches of stream rule 2 (valid and payload hold).

    `before` runs ahead of cycle 0, while nothing is valid or ready.
    """
    dut = Accelerator(graph, probes=True) if top is None else top
    go = {s.id: stalls.at(s.id, cycles) for s in (*graph.inputs, *graph.outputs)}
    words = {s.id: pack(inputs[s.id], s) for s in graph.inputs}
    transfers: dict[str, list[int]] = {s.id: [] for s in graph.streams}
    payloads: dict[str, list[int]] = {s.id: [] for s in graph.streams}
    violations: list[str] = []

    async def bench(ctx: SimulatorContext) -> None:
        if before is not None:
            await before(ctx, dut)
        pending = {s.id: False for s in graph.inputs}
        held: dict[str, int | None] = {s.id: None for s in graph.streams}
        for t in range(cycles):
            for s in graph.inputs:
                position = len(transfers[s.id])
                pending[s.id] |= bool(go[s.id][t])
                valid = pending[s.id] and position < len(words[s.id])
                ctx.set(getattr(dut, s.id).valid, valid)
                ctx.set(getattr(dut, s.id).payload, words[s.id][position] if valid else 0)
            for s in graph.outputs:
                ctx.set(getattr(dut, s.id).ready, bool(go[s.id][t]))
            for s in graph.streams:
                probe = getattr(dut, f"probe_{s.id}")
                payload = ctx.get(probe.payload) if ctx.get(probe.valid) else None
                if held[s.id] is not None and payload != held[s.id]:
                    violations.append(f"{s.id} did not hold in cycle {t}")
                taken = payload is not None and ctx.get(probe.ready)
                held[s.id] = None if taken else payload
                if taken:
                    transfers[s.id].append(t)
                    payloads[s.id].append(payload)
                    if s.id in pending:
                        pending[s.id] = False
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return Trace({k: np.array(v, np.int64) for k, v in transfers.items()}, cycles, payloads, tuple(violations))
