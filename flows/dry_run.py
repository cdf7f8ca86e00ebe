"""What of a file would not lower, all at once and before any work: it is imported and cut, nothing is evaluated or built."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from arbonn.errors import LoweringError, Problem
from arbonn.flows.lowering.importer import import_model, read_model
from arbonn.flows.lowering.input_contract import find_contract
from arbonn.flows.lowering.linear import Linear
from arbonn.flows.lowering.network import Network
from arbonn.flows.lowering.problems import advice
from arbonn.flows.lowering.segments import cut
from arbonn.flows.lowering.weights import integer_weights
from arbonn.flows.results import Result
from arbonn.hw.datatypes import smallest


class ProblemSummary(BaseModel):
    """A node that does not lower, why, and what would help; `operator` is empty for the network as a whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    node: str
    operator: str
    why: str
    fix: str


class LayerSummary(BaseModel):
    """A linear operator of a file: the frame that it takes and gives (rows, columns, channels), its weights' shape and stored bits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    node: str
    operator: str
    shape: list[int]
    after: list[int]
    weights: list[int]
    weight_bits: int


class DryRunResult(Result):
    """What of a file would not lower; the layers where they are known. `seconds` is without imports of libraries."""

    lowers: bool
    problems: list[ProblemSummary]
    layers: list[LayerSummary]
    weight_bits: int
    input: str
    input_shape: list[int]
    seconds: float


def dry_run(model: Path, contract: str | None = None, input_table: Path | None = None) -> DryRunResult:
    """What would not lower, a problem a node, or the layers if all does. Raises InputError for what is no network at all."""
    begin = time.perf_counter()
    found: list[Problem] = []
    network = import_model(read_model(model), model.name, found)
    linears: tuple[Linear, ...] = ()
    try:
        linears = tuple(cut(network).linears)
    except LoweringError as error:
        known = {problem.node for problem in found}
        found += [problem for problem in error.problems if problem.node not in known]
        if not found:  # of the network as a whole
            found.append(Problem(error.where, "", error.found, error.fix or error.allowed))
    stated = ""
    try:
        answer = find_contract(network, contract, input_table)
        stated = f"{answer.contract} ({answer.source})"
    except LoweringError as error:
        found.append(Problem(network.input, "input", error.found.partition(":")[0], error.fix))
    layers = [_layer(network, linear, found) for linear in linears]
    place = {node.name: k for k, node in enumerate(network.nodes)}
    found.sort(key=lambda problem: place.get(problem.node, -1))
    return DryRunResult(
        lowers=not found,
        problems=[ProblemSummary(**problem._asdict()) for problem in found],
        layers=[layer for layer in layers if layer is not None],
        weight_bits=sum(layer.weight_bits for layer in layers if layer is not None),
        input=stated,
        input_shape=list(network.shapes[network.input]),
        seconds=round(time.perf_counter() - begin, 3),
    )


def _layer(network: Network, linear: Linear, found: list[Problem]) -> LayerSummary | None:
    """A layer's shapes and weights; None, and a problem more, for weights on no grid."""
    node = next(n for n in network.nodes if n.name == linear.node)
    bits = 0
    if not linear.sums:
        try:
            weights, _ = integer_weights(linear)
        except LoweringError as error:
            if linear.node not in {problem.node for problem in found}:
                found.append(Problem(linear.node, node.op_type, error.found, advice(error.found)))
            return None
        low, high = int(weights.min()), int(weights.max())
        bits = weights.size * (1 if (abs(weights) == 1).all() else smallest(low, high).bits)
    return LayerSummary(
        node=linear.node,
        operator=node.op_type,
        shape=list(linear.shape),
        after=list(linear.after),
        weights=list(linear.weights.shape),
        weight_bits=bits,
    )
