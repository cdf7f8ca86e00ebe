"""Amaranth's stream rules proved for every unit, whatever its inputs and stalls.

Rule 2 (valid and payload hold until the transfer): by induction, so for all time; bounded where the payload comes straight from a memory.
Rule 3 (a producer never waits for ready, not even through a register): two copies that differ only in one output's ready give the same
valid until that output's first transfer; bounded, from reset, over more cycles than the unit takes to give.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, ClockDomain, Module, Signal

from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import Node, Ports, Stream
from arbonn.hw.sequencer import Sequencer
from arbonn.hw.unit_component import UnitComponent
from arbonn.hw.units.acc_pool import AccPool
from arbonn.hw.units.add_streams import AddStreams
from arbonn.hw.units.concat import Concat
from arbonn.hw.units.duplicate_streams import DuplicateStreams
from arbonn.hw.units.dwc import DWC
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.fm_padding import FMPadding
from arbonn.hw.units.label_select import LabelSelect
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.max_pool import MaxPool
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.shuffle import Shuffle
from arbonn.hw.units.sparse_mvau import SparseMVAU
from arbonn.hw.units.split import Split
from arbonn.hw.units.swg import SWG
from arbonn.hw.units.thresholding import Thresholding
from arbonn.hw.units.unrolled_mvau import UnrolledMVAU
from arbonn.hw.units.vvau import VVAU
from tests.hw.units.test_units import OURS

BIT = datatype("BIPOLAR")
RANDOM = np.random.default_rng(0)


def port(dtype: str, channels: int | tuple[int, ...], lanes: int) -> Stream:
    return Stream("s", (channels,) if isinstance(channels, int) else channels, datatype(dtype), lanes)


CASES: dict[str, tuple[Node, dict[str, Stream]]] = {
    "MVAU": (
        MVAU("u", RANDOM.choice([-1, 1], (4, 4)), BIT, "popcount", RANDOM.integers(1, 4, (4, 1))),
        {"i": port("BIPOLAR", 4, 2), "o": port("BIPOLAR", 4, 2)},
    ),
    "Thresholding": (
        Thresholding("u", np.sort(RANDOM.integers(-4, 4, (4, 3)), axis=1)),
        {"i": port("INT3", 4, 2), "o": port("UINT2", 4, 2)},
    ),
    "Lookup": (Lookup("u", RANDOM.integers(-4, 4, (2, 8)), -4), {"i": port("INT3", 2, 1), "o": port("INT3", 2, 1)}),
    "DWC": (DWC("u"), {"i": port("INT3", 4, 1), "o": port("INT3", 4, 4)}),
    "FIFO": (FIFO("u", 2), {"i": port("INT3", 4, 1), "o": port("INT3", 4, 1)}),
    "LabelSelect": (LabelSelect("u"), {"i": port("INT3", 3, 1), "label": port("UINT2", 1, 1), "logits": port("INT3", 3, 1)}),
    "MVAU, one fold": (MVAU("u", RANDOM.choice([-1, 1], (2, 2)), BIT, depth=4), {"i": port("BIPOLAR", 2, 2), "o": port("UINT2", 2, 2)}),
    "DWC, down": (DWC("u"), {"i": port("INT3", 4, 4), "o": port("INT3", 4, 2)}),
    "FIFO, one word": (FIFO("u", 1), {"i": port("INT3", 4, 1), "o": port("INT3", 4, 1)}),
    "FIFO, memory": (FIFO("u", 3), {"i": port("BINARY", 4, 1), "o": port("BINARY", 4, 1)}),
    "SWG": (
        SWG("u", (1, 2), 2, padding=(0, 1, 0, 0), value=0),
        {"i": port("BIPOLAR", (1, 2, 1), 1), "o": port("TERNARY", (1, 2, 2), 1)},
    ),
    "MaxPool": (MaxPool("u", 3), {"i": port("INT2", (3, 1, 2), 2), "o": port("INT2", 2, 2)}),
    "AccPool": (AccPool("u", 2), {"i": port("INT2", 4, 2), "o": port("INT3", 2, 2)}),
    "AccPool, two folds": (AccPool("u", 2), {"i": port("BIPOLAR", 4, 1), "o": port("INT3", 2, 1)}),
    "VVAU": (
        VVAU("u", RANDOM.choice([-1, 1], (4, 2)), BIT, thresholds=RANDOM.integers(0, 3, (4, 1)), group=2),
        {"i": port("BIPOLAR", 8, 2), "o": port("BIPOLAR", 4, 2)},
    ),
    "UnrolledMVAU": (
        UnrolledMVAU("u", RANDOM.choice([-1, 1], (3, 8)), BIT, "popcount", np.array([[4], [3], [5]]), depth=2),
        {"i": port("BIPOLAR", 8, 8), "o": port("BIPOLAR", 3, 3)},
    ),
    "SparseMVAU": (
        SparseMVAU("u", np.array([[-1, 1, -1, -1], [1, 1, -1, -1]]), BIT, thresholds=np.array([[2], [1]])),
        {"i": port("BIPOLAR", 4, 2), "o": port("BIPOLAR", 2, 1)},
    ),
    "AddStreams": (
        AddStreams("u"),
        {"i0": port("INT2", 4, 2), "i1": port("UINT2", 4, 2), "o": port("INT4", 4, 2)},
    ),
    "DuplicateStreams": (DuplicateStreams("u"), {"i": port("INT2", 4, 2), "o0": port("INT2", 4, 2), "o1": port("INT2", 4, 2)}),
    "Concat": (Concat("u"), {"i0": port("INT2", 2, 2), "i1": port("INT2", 4, 2), "o": port("INT2", 6, 2)}),
    "Split": (Split("u"), {"i": port("INT2", 6, 2), "o0": port("INT2", 2, 2), "o1": port("INT2", 4, 2)}),
    "Shuffle": (Shuffle("u", np.array([2, 0, 1])), {"i": port("INT2", 3, 3), "o": port("INT2", 3, 3)}),
    "FMPadding": (
        FMPadding("u", (1, 0, 0, 1), 1),
        {"i": port("INT2", (1, 2, 1), 1), "o": port("INT2", (2, 3, 1), 1)},
    ),
}
FROM_MEMORY = {"FIFO, memory", "SWG"}  # its payload is a read port: holding it for all time needs an invariant over the memory


class Proof:
    """Units under free inputs that keep the rules themselves; `claims` states what is proved."""

    def __init__(self, node: Node, ports: dict[str, Stream]) -> None:
        self.node, self.ports = node, ports
        self.free: list[Signal] = []

    def input(self, width: int, name: str) -> Signal:
        self.free.append(Signal(width, name=name))
        return self.free[-1]

    def holds(self, m: Module, name: str, valid: Signal, payload: Signal, ready: Signal) -> Signal:
        """High in cycles that keep rule 2 after the one before."""
        waiting, before = Signal(name=f"waiting_{name}"), Signal(len(payload), name=f"before_{name}")
        m.d.sync += [waiting.eq(valid & ~ready), before.eq(payload)]
        kept = Signal(name=f"kept_{name}")
        m.d.comb += kept.eq(~waiting | (valid & (payload == before)))
        return kept

    def build(self) -> Module:
        """The module to prove."""
        raise AssertionError("each proof has its own")

    def module(self) -> Module:
        """A module whose clock is an input: left out of the ports it would be constant, and every proof would pass."""
        m = Module()
        m.domains.sync = domain = ClockDomain(reset_less=True)
        self.free.append(domain.clk)
        return m

    def unit(self, m: Module, name: str) -> UnitComponent:
        m.submodules[name] = unit = self.node.component(self.ports)
        return unit


class HoldsProof(Proof):
    def build(self) -> Module:
        m = self.module()
        unit = self.unit(m, "unit")
        for p in self.node.takes:
            i = unit.port(p)
            m.d.comb += [i.valid.eq(self.input(1, f"valid_{p}")), i.payload.eq(self.input(len(i.payload), f"payload_{p}"))]
            m.d.comb += Assume(self.holds(m, p, i.valid, i.payload, i.ready))
        for p in self.node.gives:
            o = unit.port(p)
            m.d.comb += o.ready.eq(self.input(1, f"ready_{p}"))
            m.d.comb += Assert(self.holds(m, p, o.valid, o.payload, o.ready))
        return m


class NeverWaitsProof(Proof):
    def build(self) -> Module:
        m = self.module()
        for watched in self.node.gives:
            a, b = self.unit(m, f"a_{watched}"), self.unit(m, f"b_{watched}")
            given, differs = Signal(name=f"given_{watched}"), Signal(name=f"differs_{watched}")
            for p in self.node.takes:
                valid, payload = self.input(1, f"valid_{watched}_{p}"), self.input(len(a.port(p).payload), f"payload_{watched}_{p}")
                for unit in (a, b):
                    m.d.comb += [unit.port(p).valid.eq(valid), unit.port(p).payload.eq(payload)]
                m.d.comb += Assume(self.holds(m, f"{watched}_{p}", valid, payload, a.port(p).ready))
            for p in self.node.gives:
                m.d.comb += a.port(p).ready.eq(self.input(1, f"ready_{watched}_{p}"))
                m.d.comb += b.port(p).ready.eq(0 if p == watched else a.port(p).ready)
            m.d.comb += differs.eq(a.port(watched).valid ^ b.port(watched).valid)
            m.d.sync += given.eq(given | a.port(watched).valid)
            m.d.comb += Assert(given | ~differs)
        return m


def prove(proof: Proof, mode: str, depth: int, folder: Path) -> str:
    """Runs SymbiYosys; returns its last word (PASS or FAIL)."""
    module = proof.build()  # first, for its list of free inputs
    text = rtlil.convert(module, name="top", ports=proof.free, emit_src=False)
    (folder / "top.il").write_text(text)
    script = [
        "[options]",
        f"mode {mode}",
        f"depth {depth}",
        "[engines]",
        "smtbmc z3",
        "[script]",
        "read_rtlil top.il",
        "prep -top top",
        "[files]",
        "top.il",
    ]
    (folder / "proof.sby").write_text("\n".join(script) + "\n")
    tools = {name: f"yowasp-{name}" for name in ("yosys", "yosys-smtbmc", "yosys-witness")}
    flags = [f"--{flag}={tools[name]}" for flag, name in (("yosys", "yosys"), ("smtbmc", "yosys-smtbmc"), ("witness", "yosys-witness"))]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(Path(sys.executable).parent / "yowasp-sby"), "-f", *flags, "proof.sby"],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    status = folder / "proof" / "status"
    assert status.exists(), done.stdout + done.stderr
    return status.read_text().split()[0]


def test_every_unit_has_a_proof() -> None:
    assert set(OURS) <= set(CASES)
    for node, ports in CASES.values():
        assert list(node.problems(ports)) == []


@pytest.mark.parametrize("name", CASES)
def test_payloads_hold_until_taken(name: str, tmp_path: Path) -> None:
    assert prove(HoldsProof(*CASES[name]), *(("bmc", 8) if name in FROM_MEMORY else ("prove", 12)), tmp_path) == "PASS"


@pytest.mark.parametrize("name", CASES)
def test_valid_never_waits_for_ready(name: str, tmp_path: Path) -> None:
    assert prove(NeverWaitsProof(*CASES[name]), "bmc", 12, tmp_path) == "PASS"


class Leaky(UnitComponent):
    """Breaks rule 2: its payload follows its input while it waits."""

    def datapath(self, m: Module, sequencers: list[Sequencer]) -> None:
        m.d.comb += self.port("o").payload.eq(self.port("i").payload)


class Shy(UnitComponent):
    """Breaks rule 3: it offers a word only after it has seen ready, through a register."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        i, o, full, seen = self.port("i"), self.port("o"), Signal(), Signal()
        m.d.comb += [i.ready.eq(~full), o.valid.eq(full & seen)]
        m.d.sync += seen.eq((seen | o.ready) & ~(o.valid & o.ready))
        with m.If(i.valid & i.ready):
            m.d.sync += [full.eq(1), o.payload.eq(i.payload)]
        with m.Elif(o.valid & o.ready):
            m.d.sync += full.eq(0)
        return m


@dataclass(frozen=True, eq=False)
class Broken(Lookup):
    how: type[UnitComponent] = Leaky

    def component(self, ports: Ports) -> UnitComponent:
        return self.how(self, ports)


@pytest.mark.parametrize(("how", "proof"), [(Leaky, HoldsProof), (Shy, NeverWaitsProof)])
def test_a_unit_that_breaks_a_rule_fails_its_proof(how: type[UnitComponent], proof: type[Proof], tmp_path: Path) -> None:
    node, ports = CASES["Lookup"]
    assert isinstance(node, Lookup)
    assert prove(proof(Broken("u", node.table, node.low, how=how), ports), "bmc", 12, tmp_path) == "FAIL"
