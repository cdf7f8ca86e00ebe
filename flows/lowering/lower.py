"""Lowers a QONNX file to an integer dataflow graph: import, cut, evaluate, rewrite, compare with the file.

The graph is unfolded: every stream has one lane and there are no FIFOs; folding (`arbonn.flows.fold`) sets lanes and adds buffers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from arbonn import __version__, files
from arbonn.errors import LoweringError
from arbonn.flows.lowering.importer import read_network
from arbonn.flows.lowering.input_contract import find_contract
from arbonn.flows.lowering.layers import Built, build
from arbonn.flows.lowering.logits import WIDEST
from arbonn.flows.lowering.passes import Pass, all_passes, run_passes
from arbonn.flows.lowering.segments import cut
from arbonn.flows.lowering.verify import Verification, verify
from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph


@dataclass(frozen=True, eq=False)
class LowerOptions:
    """How to lower.

    input         the input contract as text (`uint8,scale=1/255`), None: what the file says.    input_table  a .npy file of values.
    outputs       what leaves the accelerator.
    logits        fixed point (a power of two times the file's), or ranks (only their order, in fewer bits).
    samples       frames compared with QONNX: codes (frames, ...), NCHW or flat, or how many to draw with `seed` from the contract's range.
    """

    input: str | None = None
    input_table: Path | None = None
    outputs: Literal["both", "logits", "label"] = "both"
    logits: Literal["fixed", "rank"] = "fixed"
    samples: int | Integers = 100
    seed: int = 0
    passes: tuple[Pass, ...] = field(default_factory=all_passes)


@dataclass(frozen=True, eq=False)
class Lowered:
    """A lowered network: its graph, where the contract came from, what is left to the host, and the comparison with the file."""

    graph: DataflowGraph
    contract: InputContract
    contract_source: str
    notes: tuple[str, ...]
    verification: Verification
    frames_source: str
    seconds: float
    built: Built


def lower(model: Path, options: LowerOptions | None = None) -> Lowered:
    """The graph of a file. Raises InputError for what is no network or no contract, LoweringError for what does not lower."""
    options = options or LowerOptions()
    began = time.perf_counter()
    network = read_network(model)
    segments = cut(network)
    found = find_contract(network, options.input, options.input_table)
    built = build(segments, found.contract, options.outputs, WIDEST if options.logits == "fixed" else 0)
    provenance = {
        "model": model.name,
        "model_sha256": files.sha256(model),
        "arbonn": __version__,
        "input": f"{found.contract} ({found.source})",
        "logit_scale": built.logit_scale,
        "passes": ", ".join(p.name for p in options.passes),
    } | {f"model_{k.removeprefix('arbonn.')}": v for k, v in network.metadata.items() if k.startswith("arbonn.")}
    graph = run_passes(replace(built.graph, provenance=provenance), options.passes)
    frames, source = frames_of(graph, options, network.name)
    verification = verify(graph, built, frames)
    return Lowered(graph, found.contract, found.source, built.notes, verification, source, time.perf_counter() - began, built)


def drawn_frames(contract: InputContract, channels: int, count: int, seed: int) -> Integers:
    """`count` frames for a network without data: all least, all greatest, checkered, then uniform draws over the contract's codes."""
    codes = contract.codes()
    random = np.random.default_rng(seed)
    checkered = np.where(np.arange(channels) % 2 == 0, codes[0], codes[-1])
    extremes = np.stack([np.full(channels, codes[0]), np.full(channels, codes[-1]), checkered])[:count]
    return np.concatenate([extremes, random.choice(codes, (count - len(extremes), channels))]).astype(np.int64)


def frames_of(graph: DataflowGraph, options: LowerOptions, name: str) -> tuple[Integers, str]:
    """Codes (frames, *shape) in the order of the graph's input, and where they come from."""
    contract, shape, elements = graph.contract, graph.inputs[0].shape, graph.inputs[0].elements
    if isinstance(options.samples, int):
        drawn = drawn_frames(contract, elements, options.samples, options.seed)
        return drawn.reshape(-1, *shape), f"{options.samples} drawn with seed {options.seed}"
    given = np.asarray(options.samples)
    if given.ndim < 2 or given.shape[0] == 0 or given[0].size != elements:
        raise LoweringError(name, found=f"samples of shape {given.shape}", allowed=f"(frames, ...) with {elements} codes a frame")
    codes = contract.encode(given.reshape(len(given), shape[-1], *shape[:-1]), "samples")
    return np.ascontiguousarray(np.moveaxis(codes, 1, -1)), f"{len(given)} given"
