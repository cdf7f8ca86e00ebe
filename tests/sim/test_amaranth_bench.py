"""Amaranth's own simulator writes what the HDL bench with cocotb writes: every record; and what a broken design does is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from arbonn.errors import CheckError, ToolError
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.datatypes import Integers, datatype
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.unrolled_mvau import UnrolledMVAU
from arbonn.hw.verilog import to_verilog
from arbonn.sim import check as check_module
from arbonn.sim import runner
from arbonn.sim.amaranth_bench import AmaranthBench, frames_within, simulates
from arbonn.sim.bench import MARGIN, Bench, expect
from arbonn.sim.check import CheckOptions, check, draw_to_the_end
from arbonn.sim.harness import ACCELERATOR
from arbonn.sim.timing import predict


def test_it_sees_what_a_simulator_of_verilog_sees(small_classifier: DataflowGraph, tmp_path: Path) -> None:
    inputs = {"pixels": np.random.default_rng(5).integers(0, 16, (20, 8))}
    stalls = draw_to_the_end(small_classifier, 20, 0.5, 1)
    expected = expect(small_classifier, inputs, stalls)
    cycles = expected.cycles + MARGIN
    design = Accelerator(small_classifier, probes=True)
    own = AmaranthBench(small_classifier, tmp_path / "own", design).run("run", inputs, stalls, cycles, expected)
    verilog = to_verilog(Accelerator(small_classifier, probes=True), ACCELERATOR)
    icarus = Bench(small_classifier, runner.find("icarus"), tmp_path / "icarus", verilog).run("run", inputs, stalls, cycles, expected)
    assert own.compared == icarus.compared
    assert own.compared is not None
    assert own.compared.equal
    assert own.compared.transfers == 19 * 20
    for record in sorted(icarus.folder.glob("*.rec")):
        assert (own.folder / record.name).read_bytes() == record.read_bytes()


def draw(graph: DataflowGraph, frames: int) -> dict[str, Integers]:
    return {s.id: np.random.default_rng(7).choice(s.dtype.every(), (frames, *s.shape)) for s in graph.inputs}


def test_a_check_on_it_alone_is_a_whole_check(small_classifier: DataflowGraph, tmp_path: Path) -> None:
    found = check(small_classifier, draw(small_classifier, 10), tmp_path, CheckOptions({"amaranth": None}))
    assert found.equal is True
    assert (found.frames, found.transfers, found.violations) == (10, 19 * 3 * 10, 0)
    assert found.predicted == found.seen
    assert [(p.simulator, p.probability) for p in found.stall_patterns] == [("amaranth", 0.0), ("amaranth", 0.3), ("amaranth", 0.9)]


def shallow(graph: DataflowGraph) -> DataflowGraph:
    """Another design: the FIFO holds one word only."""
    return graph.with_nodes([FIFO(n.id, depth=1) if isinstance(n, FIFO) else n for n in graph.nodes], graph.streams)


def test_a_design_of_other_cycles_is_found_with_its_waves(
    monkeypatch: pytest.MonkeyPatch, small_classifier: DataflowGraph, tmp_path: Path
) -> None:
    monkeypatch.setattr(check_module, "Accelerator", lambda graph, probes: Accelerator(shallow(graph), probes))
    options = CheckOptions({"amaranth": 20}, stalls=(0.0, 0.9))
    found = check(small_classifier, draw(small_classifier, 20), tmp_path, options)
    assert found.equal is False
    assert found.bit_mismatches == 0 < found.cycle_mismatches
    first = found.first_difference
    assert first is not None
    assert (first.simulator, first.difference.stream, first.difference.kind) == ("amaranth", "bits", "cycle")
    assert first.waves is not None
    assert "probe_bits__payload" in first.waves.read_text()


class Blinking(wiring.Component):
    """The ports of `small_thresholder`, but its y is a counter whose valid falls in every other cycle, taken or not."""

    def __init__(self) -> None:
        ends = {"x": In(stream.Signature(8)), "y": Out(stream.Signature(4))}
        probe = {
            name: Out(wiring.Signature({"payload": Out(bits), "valid": Out(1), "ready": Out(1)})) for name, bits in (("x", 8), ("y", 4))
        }
        super().__init__(ends | {f"probe_{name}": member for name, member in probe.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.y.payload.eq(self.y.payload + 1)
        m.d.comb += [self.y.valid.eq(self.y.payload[0]), self.x.ready.eq(self.y.ready)]
        for end, probe in ((self.x, self.probe_x), (self.y, self.probe_y)):
            m.d.comb += [probe.payload.eq(end.payload), probe.valid.eq(end.valid), probe.ready.eq(end.ready)]
        return m


def test_breaches_and_wrong_bits_are_those_that_icarus_sees(small_thresholder: DataflowGraph, tmp_path: Path) -> None:
    inputs = draw(small_thresholder, 20)
    stalls = draw_to_the_end(small_thresholder, 20, 0.5, 1)
    expected = expect(small_thresholder, inputs, stalls)
    design: Any = Blinking()
    own = AmaranthBench(small_thresholder, tmp_path / "own", design).run("run", inputs, stalls, expected.cycles, expected)
    bench = Bench(small_thresholder, runner.find("icarus"), tmp_path / "icarus", to_verilog(Blinking(), ACCELERATOR))
    assert own.compared == bench.run("run", inputs, stalls, expected.cycles, expected).compared
    assert own.compared is not None
    assert min(own.compared.violations, own.compared.bit_mismatches, own.compared.cycle_mismatches) > 0


def test_cells_of_a_family_are_not_simulated_so(make_chain: Callable[..., DataflowGraph], tmp_path: Path) -> None:
    node = UnrolledMVAU("mvau_0", np.ones((2, 4), np.int64), datatype("BIPOLAR"), thresholds=np.full((2, 1), 2), primitives=True)
    edges = [("x", 4, "BIPOLAR", 4), ("y", 2, "BIPOLAR", 2)]
    simulates(make_chain([replace(node, primitives=False)], edges))
    graph = make_chain([node], edges).verify()
    with pytest.raises(ToolError) as caught:
        simulates(graph)
    assert str(caught.value) == (
        "ToolError: amaranth: mvau_0 (UnrolledMVAU) is made of a family's cells, which Amaranth does not simulate\n"
        "  allowed  units of Amaranth's own logic\n  fix      a simulator of Verilog: `arbonn doctor` lists them"
    )
    found = check(graph, draw(graph, 2), tmp_path, CheckOptions({"amaranth": None}))
    assert (found.equal, found.simulators[0].skipped) == (None, f"{caught.value.found}; to get it: {caught.value.fix}")


def test_a_run_that_takes_too_long_is_told(small_thresholder: DataflowGraph, tmp_path: Path) -> None:
    bench = AmaranthBench(small_thresholder, tmp_path, Accelerator(small_thresholder, probes=True), limit_s=0.0)
    with pytest.raises(CheckError) as caught:
        bench.run("run", draw(small_thresholder, 1), None, 10)
    assert str(caught.value) == (
        "CheckError: amaranth: did not finish within 0 s\n  fix      fewer frames, or a simulator that is compiled: verilator"
    )


@pytest.mark.parametrize("cycles", [1, 100, 1000])
def test_as_many_frames_as_pass_in_time(small_classifier: DataflowGraph, cycles: int) -> None:
    few = frames_within(small_classifier, cycles)
    assert few == 0 or predict(small_classifier, few).cycles <= cycles
    assert predict(small_classifier, few + 1).cycles > cycles
