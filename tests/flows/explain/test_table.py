"""A truth table holds every input once, the reference's values, and sums that give them."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from arbonn.errors import InputError
from arbonn.flows.commands.teach import explain as command
from arbonn.flows.explain.table import as_lines, table_of
from arbonn.flows.frames import labels_of
from arbonn.hw import graph_file
from arbonn.sim import reference
from tests.networks import mlp


@pytest.mark.parametrize(("contract", "inputs"), [("uint1", 5), ("uint2", 3), ("bipolar", 4)])
def test_the_sums_written_out_give_the_values_of_every_case(contract: str, inputs: int) -> None:
    graph = mlp((inputs, 6, 2), contract, seed=3)
    table = table_of(graph)
    codes = graph.contract.codes().tolist()
    assert table.cases.tolist() == [list(case) for case in product(codes, repeat=inputs)]
    assert table.labels.tolist() == labels_of(graph, reference.execute(graph, {"x": table.cases})).tolist()
    given = table.cases
    for unit in table.units:
        assert unit.formulas
        for formula, column in zip(unit.formulas, unit.values.T, strict=True):
            weights = [int(sign + "1") for sign in re.findall(r"([+-])x\d", formula)]
            total = given @ np.array(weights)
            limit = re.search(r">= (-?\d+)$", formula)
            np.testing.assert_array_equal(column, total if limit is None else np.where(total >= int(limit[1]), 1, -1))
        given = unit.values


def test_a_table_for_people() -> None:
    lines = as_lines(table_of(mlp((2, 3, 2), "uint1", seed=0)))
    rule = next(k for k, line in enumerate(lines) if line.startswith("----"))
    assert [line.split()[0] for line in lines[: rule - 2]] == [
        f"mvau_{unit}.{n}:" for unit, count in ((0, 3), (1, 2)) for n in range(count)
    ]
    assert lines[rule - 1].split() == ["x0", "x1", "mvau_0", "mvau_1", "class"]
    assert [line.split()[:2] for line in lines[rule + 1 :]] == [["0", "0"], ["0", "1"], ["1", "0"], ["1", "1"]]
    assert {bit for line in lines[rule + 1 :] for bit in line.split()[2:5]} <= {"0", "1"}


def test_too_many_cases_are_refused(tmp_path: Path) -> None:
    graph_file.save(mlp((64, 4, 2), "uint4", seed=0), tmp_path)
    with pytest.raises(InputError) as error:
        command(tmp_path, table=True)
    assert str(error.value) == (
        "InputError: --table: 64 inputs of 16 values, more than 256 cases\n  allowed  at most 256 cases\n"
        "  fix      arbonn run recipes/four_neurons.toml"
    )
