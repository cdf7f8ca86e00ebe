"""Components to Verilog text that is the same on every machine: no paths, no dates, fixed names."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.back import verilog
from amaranth.hdl import Elaboratable, Value
from amaranth.lib import wiring

# Source attributes hold absolute paths: two checkouts would give different text.
SAME = {"emit_src": False, "strip_internal_attrs": True}


def to_verilog(component: wiring.Component, name: str) -> str:
    """Verilog of a component; its ports keep the names of its signature (members joined by `__`), clock `clk`, reset `rst`."""
    return verilog.convert(component, name=name, **SAME)


def ports_to_verilog(design: Elaboratable, name: str, ports: Mapping[str, Value]) -> str:
    """Verilog of a design with just these ports, by the names that they are to have; what the design drives is an output."""
    return verilog.convert(design, name=name, ports={port: (value, None) for port, value in ports.items()}, **SAME)
