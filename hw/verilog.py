"""Components to Verilog text that is the same on every machine: no paths, no dates, fixed names."""

from __future__ import annotations

from amaranth.back import verilog
from amaranth.lib import wiring


def to_verilog(component: wiring.Component, name: str) -> str:
    """Verilog of a component; its ports keep the names of its signature (members joined by `__`), clock `clk`, reset `rst`."""
    # Source attributes hold absolute paths: two checkouts would give different text.
    return verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)
