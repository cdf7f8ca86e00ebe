"""arbonn: binary neural networks from training to an FPGA bitstream that is checked in every bit and every cycle.

The names below are the public face: the stages that the command line runs, as functions. They are imported when first used, so that
`import arbonn` costs nothing.

    import arbonn
    result = arbonn.run(Path("recipes/digits.toml"))
    print(result.accuracy, result.interval_cycles)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arbonn.errors import ArbonnError as ArbonnError
    from arbonn.flows.options import BuildOptions as BuildOptions
    from arbonn.flows.options import CheckOptions as CheckOptions
    from arbonn.flows.options import Common as Common
    from arbonn.flows.options import InferOptions as InferOptions
    from arbonn.flows.options import LowerOptions as LowerOptions
    from arbonn.flows.own_network import to_qonnx as to_qonnx
    from arbonn.flows.recipe import Recipe as Recipe
    from arbonn.flows.recipe import load_recipe as load_recipe
    from arbonn.flows.run import run as run
    from arbonn.flows.stages import build as build
    from arbonn.flows.stages import check as check
    from arbonn.flows.stages import evaluate as evaluate
    from arbonn.flows.stages import infer as infer
    from arbonn.flows.stages import lower as lower
    from arbonn.flows.stages import netlist as netlist
    from arbonn.flows.stages import train as train
    from arbonn.flows.store import Store as Store

__version__ = "0.1.0"

_OPTIONS = ("BuildOptions", "CheckOptions", "Common", "InferOptions", "LowerOptions")
_STAGES = ("build", "check", "evaluate", "infer", "lower", "netlist", "train")
_WHERE = {
    "ArbonnError": "arbonn.errors",
    "Recipe": "arbonn.flows.recipe",
    "Store": "arbonn.flows.store",
    "load_recipe": "arbonn.flows.recipe",
    "run": "arbonn.flows.run",
    "to_qonnx": "arbonn.flows.own_network",
    **dict.fromkeys(_OPTIONS, "arbonn.flows.options"),
    **dict.fromkeys(_STAGES, "arbonn.flows.stages"),
}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'arbonn' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)
