"""What every neuron of a small network answers to everything that can be asked: truth tables, with the neurons written as sums."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arbonn.errors import InputError
from arbonn.flows.frames import labels_of
from arbonn.hw import graph_file
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.thresholding import Thresholding
from arbonn.sim import reference

CASES = 256  # rows that an eye can still compare
TERMS = 16  # inputs of a neuron that is written out


@dataclass(frozen=True, eq=False)
class Neurons:
    """One unit's answers: `values` (cases, neurons); `formulas`: each neuron as a sum with its threshold, none for wide units.

    Sums that meet no threshold are dot products, as in the formulas, where the hardware may count agreeing bits (`MVAU.to_dot`).
    """

    unit: str
    dtype: str
    values: Integers
    formulas: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class TruthTable:
    """`cases` (cases, inputs): every input that the contract allows. `labels` (cases,): the network's class of each."""

    cases: Integers
    units: tuple[Neurons, ...]
    labels: Integers

    def as_data(self) -> dict[str, object]:
        """The table as JSON data."""
        units = [{"unit": u.unit, "type": u.dtype, "values": u.values.tolist(), "neurons": list(u.formulas)} for u in self.units]
        return {"cases": self.cases.tolist(), "units": units, "labels": self.labels.tolist()}


def truth_table(folder: Path) -> TruthTable:
    """The table of all units that compare or sum, of the graph in `folder`. Raises InputError where there are too many cases for one."""
    return table_of(graph_file.load(folder))


def table_of(graph: DataflowGraph) -> TruthTable:
    """The table of a graph."""
    source, codes = graph.inputs[0], graph.contract.codes()
    count = len(codes) ** source.elements
    if count > CASES:
        found = f"{source.elements} inputs of {len(codes)} values, more than {CASES} cases"
        raise InputError("--table", found=found, allowed=f"at most {CASES} cases", fix="arbonn run recipes/four_neurons.toml")
    cases = np.array(np.meshgrid(*[codes] * source.elements, indexing="ij"), np.int64).reshape(source.elements, count).T
    values = reference.execute(graph, {source.id: cases.reshape(count, *source.shape)})
    units = []
    for node in graph.ordered():
        if isinstance(node, MVAU | Thresholding):
            stream = graph.ports(node)["o"]
            given = values[stream.id].reshape(count, -1)
            if isinstance(node, MVAU) and node.thresholds is None:
                given = node.to_dot(given.reshape(count, -1, node.rows), graph.ports(node)["i"].dtype).reshape(count, -1)
            formulas = _formulas(node, graph) if isinstance(node, MVAU) else ()
            units.append(Neurons(node.id, str(stream.dtype), given, formulas))
    return TruthTable(cases, tuple(units), labels_of(graph, values))


def _formulas(node: MVAU, graph: DataflowGraph) -> tuple[str, ...]:
    """Each neuron in dot products: +x0 -x1 >= 1, whatever the hardware counts in their place."""
    if node.columns > TERMS:
        return ()
    kind = graph.ports(node)["i"].dtype
    sums = [" ".join(f"{'+' if w > 0 else '-'}{'' if abs(w) == 1 else abs(w)}x{k}" for k, w in enumerate(row) if w) for row in node.weights]
    if node.thresholds is None:
        return tuple(sums)
    limits = node.to_dot(node.thresholds.T, kind).T
    return tuple(f"{total} >= {', '.join(map(str, row))}" for total, row in zip(sums, limits.tolist(), strict=True))


def as_lines(table: TruthTable) -> list[str]:
    """The table for a terminal: a row a case, bits as 0 and 1, the neurons' sums above it."""
    lines = list[str]()
    for unit in table.units:
        lines += [f"{unit.unit}.{number}: {formula}" for number, formula in enumerate(unit.formulas)]
    head = ["".join(f" x{k}" for k in range(table.cases.shape[1])), *(u.unit for u in table.units), "class"]
    parts = [_column(table.cases), *(_column(u.values.clip(min=0) if u.dtype in ("BIPOLAR", "BINARY") else u.values) for u in table.units)]
    parts.append(_column(table.labels[:, None]))
    widths = [max(len(name), *map(len, part)) for name, part in zip(head, parts, strict=True)]
    rows = [head, ["-" * width for width in widths], *zip(*parts, strict=True)]
    return [*lines, "", *("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)]


def _column(values: Integers) -> list[str]:
    """Rows of numbers, each as wide as the widest, at least three places."""
    wide = max(3, 1 + max(len(str(int(v))) for v in values.reshape(-1)))
    return ["".join(str(int(v)).rjust(wide) for v in row) for row in values]
