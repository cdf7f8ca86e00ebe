"""What a point can be judged by: each metric, its range, and the rung of the ladder from which its value is exact."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

from arbonn.flows.recipe import Recipe

RUNGS = ("model", "synth", "build", "check")
Rung = Literal["model", "synth", "build", "check"]


@dataclass(frozen=True)
class Metric:
    """`rung`: where it is measured; before that it is an estimate (`model`), or not known yet (`estimated` is False)."""

    summary: str
    rung: Rung = "model"
    estimated: bool = True
    least: float = 0.0
    most: float = inf


METRICS: dict[str, Metric] = {
    "accuracy": Metric("of the integer network on the test images, mean of seeds", most=1.0),
    "val_accuracy": Metric("the same on the validation images: what a search may choose by", most=1.0),
    "ood_accuracy": Metric("`accuracy` where a domain is left out, data.leave_out: its images are the test images", most=1.0),
    "corruption_error": Metric("share of wrong answers on corrupted test images, of the trained network, mean of seeds", most=1.0),
    "luts": Metric("LUTs of the accelerator, without the board's shell", "synth"),
    "ffs": Metric("flip-flops, the same", "synth"),
    "brams": Metric("block RAMs, the same", "synth"),
    "weight_bits": Metric("bits of the weights of all layers"),
    "fifo_bits": Metric("bits of the FIFOs"),
    "memory_bits": Metric("bits of the weights and of the FIFOs"),
    "latency_cycles": Metric("first input to last output of a frame"),
    "latency_us": Metric("the same at the board's clock, in microseconds"),
    "interval_cycles": Metric("between frames in steady state"),
    "fps": Metric("frames a second that the core takes at the board's clock"),
    # LUTs that may switch, times the cycles in which they may: no power figure, but it orders designs of one device (docs/cost.md).
    "lut_cycles": Metric("LUTs times cycles a frame: a proxy of the energy of a frame", "synth"),
    "fmax_mhz": Metric("the fastest clock after place and route, the board's shell included", "build", estimated=False),
}

MEANS = ("accuracy", "val_accuracy", "ood_accuracy", "corruption_error")
"""What is a mean over the seeds; all else is of the first seed's design."""


def unmeasured(name: str, recipe: Recipe) -> tuple[str, str]:
    """Why a recipe gives no value of a metric, and what would; empty where it does."""
    if name == "corruption_error" and "corruption" not in recipe.measures.names:
        return "the recipe does not measure it", 'fixed = { "measures.names" = ["size", "corruption"] }'
    if name == "ood_accuracy" and recipe.data.leave_out is None:
        return "no domain is left out", 'a data set with domains, and fixed = { "data.leave_out" = "DOMAIN" }'
    return "", ""
