"""Passes over the dataflow graph, one a file. `PASSES` is their order in a lowering."""

from __future__ import annotations

from arbonn.flows.passes.base import Pass, run_passes
from arbonn.flows.passes.flip_falling import FlipFalling
from arbonn.flows.passes.merge_thresholds import MergeThresholds
from arbonn.flows.passes.table_to_thresholds import TableToThresholds

PASSES: tuple[Pass, ...] = (FlipFalling(), TableToThresholds(), MergeThresholds())

__all__ = ["PASSES", "FlipFalling", "MergeThresholds", "Pass", "TableToThresholds", "run_passes"]
