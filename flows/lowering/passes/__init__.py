"""Passes over the dataflow graph, one a file. `PASSES` is their order in a lowering.

A pass from outside the tree registers a Pass by the entry point group `arbonn.passes`; those run after ours, in the order of their names.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from arbonn.flows.lowering.passes.base import Pass, run_passes
from arbonn.flows.lowering.passes.flip_falling import FlipFalling
from arbonn.flows.lowering.passes.merge_thresholds import MergeThresholds
from arbonn.flows.lowering.passes.table_to_thresholds import TableToThresholds

PASSES: tuple[Pass, ...] = (FlipFalling(), TableToThresholds(), MergeThresholds())

__all__ = ["PASSES", "FlipFalling", "MergeThresholds", "Pass", "TableToThresholds", "all_passes", "run_passes"]


def all_passes() -> tuple[Pass, ...]:
    """Ours, then those from outside."""
    return (*PASSES, *(point.load() for point in sorted(entry_points(group="arbonn.passes"), key=lambda point: point.name)))
