"""arbonn: binary neural networks from training to an FPGA bitstream that is checked in every bit and every cycle.

The names below are the public face: what the command line runs, as functions that return results with types, print nothing, and tell how
far they are only to a `report` function that they are given. They are imported when first used, so that `import arbonn` costs nothing.

    import arbonn
    result = arbonn.run(Path("recipes/digits.toml"))
    print(result.accuracy, result.interval_cycles)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arbonn.errors import ArbonnError as ArbonnError
    from arbonn.flows import zoo as zoo
    from arbonn.flows.cmvm import CmvmOptions as CmvmOptions
    from arbonn.flows.cmvm import cmvm as cmvm
    from arbonn.flows.compare.compare import compare as compare
    from arbonn.flows.doctor import examine as examine
    from arbonn.flows.dry_run import dry_run as dry_run
    from arbonn.flows.explain.image import explain as explain
    from arbonn.flows.explain.table import truth_table as truth_table
    from arbonn.flows.explore.explore import ExploreOptions as ExploreOptions
    from arbonn.flows.explore.explore import explore as explore
    from arbonn.flows.export import export as export
    from arbonn.flows.export import export_axi as export_axi
    from arbonn.flows.options import BuildOptions as BuildOptions
    from arbonn.flows.options import CheckOptions as CheckOptions
    from arbonn.flows.options import Common as Common
    from arbonn.flows.options import InferOptions as InferOptions
    from arbonn.flows.options import LowerOptions as LowerOptions
    from arbonn.flows.own_network import to_qonnx as to_qonnx
    from arbonn.flows.recipe import Recipe as Recipe
    from arbonn.flows.recipe import load_recipe as load_recipe
    from arbonn.flows.report import report as report
    from arbonn.flows.run import run as run
    from arbonn.flows.show import draw as draw
    from arbonn.flows.stages import build as build
    from arbonn.flows.stages import check as check
    from arbonn.flows.stages import evaluate as evaluate
    from arbonn.flows.stages import infer as infer
    from arbonn.flows.stages import lower as lower
    from arbonn.flows.stages import netlist as netlist
    from arbonn.flows.stages import package as package
    from arbonn.flows.stages import synth as synth
    from arbonn.flows.stages import train as train
    from arbonn.flows.store import Store as Store
    from arbonn.hw import graph_file as graph_file

__version__ = "0.1.0"

_WHERE = {
    "arbonn.errors": ("ArbonnError",),
    "arbonn.flows.cmvm": ("CmvmOptions", "cmvm"),
    "arbonn.flows.compare.compare": ("compare",),
    "arbonn.flows.doctor": ("examine",),
    "arbonn.flows.dry_run": ("dry_run",),
    "arbonn.flows.explain.image": ("explain",),
    "arbonn.flows.explain.table": ("truth_table",),
    "arbonn.flows.explore.explore": ("ExploreOptions", "explore"),
    "arbonn.flows.export": ("export", "export_axi"),
    "arbonn.flows.options": ("BuildOptions", "CheckOptions", "Common", "InferOptions", "LowerOptions"),
    "arbonn.flows.own_network": ("to_qonnx",),
    "arbonn.flows.recipe": ("Recipe", "load_recipe"),
    "arbonn.flows.report": ("report",),
    "arbonn.flows.run": ("run",),
    "arbonn.flows.show": ("draw",),
    "arbonn.flows.stages": ("build", "check", "evaluate", "infer", "lower", "netlist", "package", "synth", "train"),
    "arbonn.flows.store": ("Store",),
}
_MODULES = {name: module for module, names in _WHERE.items() for name in names}
_WHOLE = {"graph_file": "arbonn.hw.graph_file", "zoo": "arbonn.flows.zoo"}  # modules: `zoo.names`, `graph_file.load`
__all__ = sorted({**_MODULES, **_WHOLE})


def __getattr__(name: str) -> Any:
    if name in _WHOLE:
        return importlib.import_module(_WHOLE[name])
    if name not in _MODULES:
        raise AttributeError(f"module 'arbonn' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
