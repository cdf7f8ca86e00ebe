"""The lower stage's work: a file lowered, compared, folded and saved, and told as a result."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from arbonn.flows.frames import read_array
from arbonn.flows.lowering import lower as lowering
from arbonn.flows.options import LowerOptions
from arbonn.flows.progress import Report, silent
from arbonn.flows.results import LowerResult
from arbonn.flows.runtime_weights import with_runtime_weights
from arbonn.flows.target import Target, clocked_for, engines_for, fold_for, sparse_for, unrolled_for
from arbonn.hw import graph_file
from arbonn.hw.boards import any_board
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.sparse_mvau import SparseMVAU
from arbonn.hw.units.unrolled_mvau import UnrolledMVAU
from arbonn.hw.units.vvau import VVAU
from arbonn.sim.timing import figures, predict

TIES_LISTED = 100
WEIGHTED = (MVAU, SparseMVAU, UnrolledMVAU, VVAU)


def lower_and_fold(model: Path, options: LowerOptions, folder: Path, report: Report = silent) -> LowerResult:
    """Writes graph.json and graph.npz in `folder`."""
    target = Target(any_board(options.board), options.folding, options.target_fps, options.max_luts, options.clock_mhz)
    samples = read_array(options.samples) if isinstance(options.samples, Path) else options.samples
    samples = samples[: options.max_samples] if isinstance(samples, np.ndarray) and samples.ndim else samples
    lowered = lowering.lower(
        model, lowering.LowerOptions(input=options.input, input_table=options.input_table, outputs=options.outputs, samples=samples)
    )
    if options.unrolled is not None:
        folded = unrolled_for(lowered.graph, options, report)
    else:
        graph = with_runtime_weights(lowered.graph) if options.runtime_weights else lowered.graph
        folded = fold_for(engines_for(graph, options), target)
        folded = sparse_for(folded, target.room()) if options.sparse else folded
        folded = clocked_for(folded, target) if options.pipeline is None else folded
    graph_file.save(folded.graph, folder)
    compared = lowered.verification
    times = figures(folded.graph, predict(folded.graph, 8 + 2 * len(folded.graph.nodes)))
    return LowerResult(
        nodes=len(folded.graph.nodes),
        units=dict(Counter(node.kind for node in folded.graph.nodes)),
        input=str(lowered.contract),
        input_source=lowered.contract_source,
        notes=[*lowered.notes, *_unrolled_notes(folded.graph)],
        weight_bits=sum(n.weights.size * n.weight_dtype.bits for n in folded.graph.nodes if isinstance(n, WEIGHTED)),
        verified_samples=compared.samples,
        verified_integers=compared.integers,
        samples_source=lowered.frames_source,
        labels_equal=compared.labels_equal,
        mismatches=len(compared.mismatches),
        first_mismatch=compared.first_mismatch,
        ties=len(compared.ties),
        tie_list=[tie._asdict() for tie in compared.ties[:TIES_LISTED]],
        folding={name: dict(entry) for name, entry in folded.folding.items()},
        bottleneck=folded.bottleneck,
        first_out_cycles=times.first_out,
        latency_cycles=times.latency,
        interval_cycles=float(times.interval),
        fifo_bits=_fifo_bits(folded.graph),
        luts_estimated=round(folded.cost.luts),
        ffs_estimated=folded.cost.ffs,
        brams_estimated=folded.cost.brams,
        graph_digest=graph_file.digest(folded.graph),
    )


def _fifo_bits(graph: DataflowGraph) -> int:
    return sum(node.depth * graph.ports(node)["o"].width for node in graph.nodes if isinstance(node, FIFO))


def _unrolled_notes(graph: DataflowGraph) -> list[str]:
    """What each unrolled unit has become."""
    notes = []
    for node in graph.nodes:
        if isinstance(node, UnrolledMVAU):
            counts, stages = node.layer(graph.ports(node)).netlist.counts(), node.stages(graph.ports(node))
            notes.append(
                f"{node.id} unrolled: {counts.luts} LUTs, {counts.carry4} CARRY4 (7-series), {counts.levels} levels, {node.depth} stages "
                f"of at most {stages.levels}, {node.moves} moves an output, seed {node.seed}"
            )
    return notes
