"""Counts of ones, and of the ones that two words share, for 7-series."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from amaranth.hdl import Const, Module, Signal, Value

from arbonn.flows.bench.rows import Row
from arbonn.flows.bench_hw.kept import circuit_cells
from arbonn.flows.cell_counts import CellCounts
from arbonn.hw.cmvm.layer import build
from arbonn.hw.cmvm.stages import cut
from arbonn.hw.cmvm.verilog import to_verilog
from arbonn.hw.datatypes import datatype
from arbonn.hw.netlist_logic import NetlistLogic
from arbonn.hw.popcount import popcount
from arbonn.hw.products import products
from arbonn.hw.verilog import ports_to_verilog
from arbonn.hw.xnor_popcount import xnor_popcount

# Goals by width: LUT cells and phys of a count with primitives, LUT cells of a behavioural one.
GOALS = {64: (42, 50, 60), 256: (175, 205, 260), 1024: (720, 840, 1050)}
OPERATIONS = {64: (1.3, 1.05), 256: (1.3, 1.05), 512: (1.3, 1.05)}  # LUTs of an XNOR and its part of the count: behavioural, primitives
PUBLISHED = {"FINN": 2.5, "BISMO's second paper": 1.07}  # the same as their papers say; not measured here


def with_primitives(width: int) -> CellCounts:
    """The count as LUT6 and CARRY4 cells: a layer of one output whose weights are all 1, checked as every layer is."""
    layer = build(np.ones((width, 1), dtype=np.int64))
    return circuit_cells(to_verilog(layer.netlist, layer.ranges, layer.one_bit, "count", primitives=True), "count")


def behavioural(value: Value, **ports: Signal) -> CellCounts:
    """Synthesis of an expression of `ports`."""
    m, y = Module(), Signal(value.shape(), name="y")
    m.d.comb += y.eq(value)
    return circuit_cells(ports_to_verilog(m, "count", {**ports, "y": y}), "count")


def products_with_primitives(width: int) -> CellCounts:
    """The XNOR-popcount of two words as LUT6, LUT6_2 and CARRY4 cells."""
    m, x, w = Module(), Signal(width, name="x"), Signal(width, name="w")
    pairs = [bit for pair in zip(x, w, strict=True) for bit in pair]
    netlist = xnor_popcount(width)
    logic = NetlistLogic(m, "products", cut(netlist, 1), pairs, netlist.outputs[0], enable=Const(1), primitives=True)
    y = Signal(len(logic.output), name="y")
    m.d.comb += y.eq(logic.output)
    return circuit_cells(ports_to_verilog(m, "count", {"x": x, "w": w, "y": y}), "count")


def rows() -> Iterator[Row]:
    """LUT cells and phys of each."""
    for width, (luts, phys, plain) in GOALS.items():
        cells = with_primitives(width)
        yield Row(f"count of {width} bits, primitives", cells.luts, "LUT", goal=luts, less=True)
        yield Row(f"count of {width} bits, primitives", cells.phys, "phys", goal=phys, less=True)
        b = Signal(width, name="b")
        cells = behavioural(popcount(list(b), lut_inputs=6), b=b)
        yield Row(f"count of {width} bits, behavioural", cells.luts, "LUT", goal=plain, less=True)
        yield Row(f"count of {width} bits, behavioural", cells.phys, "phys")
    for width, (written, most) in OPERATIONS.items():
        x, w = Signal(width, name="x"), Signal(width, name="w")
        sums = products(list(zip(x, w, strict=True)), datatype("BIPOLAR"), datatype("BIPOLAR"), "popcount", lut_inputs=6)
        cells = behavioural(sums, x=x, w=w)
        yield Row(f"XNOR-popcount of {width}, behavioural", cells.luts / width, "LUT/operation", goal=written, less=True)
        cells = products_with_primitives(width)
        yield Row(f"XNOR-popcount of {width}, primitives", cells.luts / width, "LUT/operation", goal=most, less=True)
    for who, published in PUBLISHED.items():
        yield Row(f"XNOR-popcount, published: {who}", published, "LUT/operation")
