"""Measures what sums of binary products take on every family, by synthesis alone, and writes the table behind an MVAU's choice of form.

python -m arbonn.flows.lut_table hw/lut_table.py      # some minutes
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Module, Signal

from arbonn.files import write_text
from arbonn.flows import tools
from arbonn.flows.families import FAMILIES, TOP, YOSYS, Family
from arbonn.flows.progress import shown
from arbonn.hw.datatypes import datatype
from arbonn.hw.products import lane_sum, plane_sum

FORMS = {"planes": plane_sum, "lanes": lane_sum}
MEASURED = ("ice40", "ecp5", "gowin", "xc7")
LANES = (2, 4, 8, 16, 64)
BITS = (1, 2, 4, 8)
MOST = 128  # bits of a measured sum's inputs
HEAD = '''"""LUTs of sums of XNOR products, by synthesis alone (yosys {version}). Written by `make lut-table`: change nothing here.

LUTS[family][bits of an input][lanes] = (as bit planes, as lanes added up).
"""

LUTS: dict[str, dict[int, dict[int, tuple[int, int]]]] = {{
'''


def design(form: str, bits: int, lanes: int) -> str:
    """A module that does nothing but the sum, in RTLIL."""
    m, x, w = Module(), Signal(bits * lanes, name="x"), Signal(lanes, name="w")
    pairs = [(x[k * bits : (k + 1) * bits], w[k]) for k in range(lanes)]
    value = FORMS[form](pairs, datatype(f"UINT{bits}"))
    out = Signal(value.shape(), name="out")
    m.d.comb += out.eq(value)
    return rtlil.convert(m, name=TOP, ports={"x": (x, None), "w": (w, None), "out": (out, None)}, emit_src=False)


def measured(family: Family, bits: int) -> dict[int, tuple[int, int]]:
    """LUTs by lanes, of each form; one run of yosys for all."""
    wanted = [(lanes, form) for lanes in LANES if lanes * bits <= MOST for form in FORMS]
    with tempfile.TemporaryDirectory() as work:
        folder, steps = Path(work), []
        for lanes, form in wanted:
            (folder / f"{form}_{lanes}.il").write_text(design(form, bits, lanes))
            steps.append(f"design -reset; read_rtlil {form}_{lanes}.il; {family.synth} -top {TOP}; write_json {form}_{lanes}.json")
        tools.run([tools.require(YOSYS), "-q", "-p", "; ".join(steps)], folder)
        luts = {key: family.count(json.loads((folder / f"{key[1]}_{key[0]}.json").read_text())).luts for key in wanted}
    return {lanes: (luts[lanes, "planes"], luts[lanes, "lanes"]) for lanes in dict.fromkeys(lanes for lanes, _ in wanted)}


def page() -> str:
    """The table as the Python file that ships."""
    version = tools.run([tools.require(YOSYS), "-V"], Path.cwd()).split()[1]
    lines = [HEAD.format(version=version)]
    with shown() as report:
        for family in (FAMILIES[name] for name in MEASURED):
            lines.append(f'    "{family.name}": {{\n')
            for done, bits in enumerate(BITS):
                report(f"sums on {family.name}", done / len(BITS))
                lines.append(f"        {bits}: {measured(family, bits)},\n")
            lines.append("    },\n")
            report(f"sums on {family.name}", 1.0)
    return "".join([*lines, "}\n"])


if __name__ == "__main__":
    path = Path(sys.argv[1])
    write_text(path, page())
    print(path)
