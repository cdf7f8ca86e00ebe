"""Passes over the dataflow graph, one a file. `PASSES` is their order in a lowering."""

from __future__ import annotations

from arbonn.flows.lowering.passes.base import Pass, run_passes
from arbonn.flows.lowering.passes.flip_falling import FlipFalling
from arbonn.flows.lowering.passes.merge_thresholds import MergeThresholds
from arbonn.flows.lowering.passes.table_to_thresholds import TableToThresholds

PASSES: tuple[Pass, ...] = (FlipFalling(), TableToThresholds(), MergeThresholds())

__all__ = ["PASSES", "FlipFalling", "MergeThresholds", "Pass", "TableToThresholds", "run_passes"]
