"""AMD boards: for these the flow ends in files for Vivado, since no open tool makes their bitstreams. One file each, with an `AMD`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import arbonn.hw.boards as package


@dataclass(frozen=True)
class AmdBoard:
    """A board whose processor runs PYNQ and reaches the logic by AXI.

    part        the device, as Vivado calls it.    files  Vivado's board files, without a version: they preset the processor.
    processor   `zynq` (7 series) or `zynqmp` (UltraScale+).    family  of yosys' `synth_xilinx`.
    clock_mhz   of the clock that the processor gives to the logic.    resources  as a `Board`'s; a block RAM is half a RAMB36.
    level_ns    as a `Board`'s, but an estimate: no open tool routes these devices.
    """

    name: str
    part: str
    files: str
    processor: Literal["zynq", "zynqmp"]
    family: Literal["xc7", "xcup"]
    clock_mhz: float
    level_ns: float
    resources: Mapping[str, int]


ZYNQ_7020 = {"luts": 53_200, "ffs": 106_400, "brams": 280, "bram_bits": 18_432}


def amd_boards() -> dict[str, AmdBoard]:
    """All of them by name."""
    modules = [importlib.import_module(f"{package.__name__}.{module.name}") for module in pkgutil.iter_modules(package.__path__)]
    found = [module.AMD for module in modules if hasattr(module, "AMD")]
    return {b.name: b for b in sorted(found, key=lambda b: b.name)}
