"""Where the meaning of the input comes from: the option, the file, its first quantizer, or a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from arbonn.flows.lowering.lower import LowerOptions, lower
from arbonn.hw.units.lookup import Lookup
from tests.flows.lowering.test_lower import saved
from tests.flows.networks import Builder, draw_layers, perceptron


@pytest.mark.parametrize(
    ("contract", "text"),
    [
        (None, "metadata"),
        ("uint4,scale=1/15", "option"),
    ],
)
def test_contract_of_the_file_yields_to_the_option(tmp_path: Path, contract: str | None, text: str) -> None:
    layers = draw_layers(3, [5, 3], 1, "", norm=False, bias=False, gemm=False, dyadic=False)
    model = perceptron(layers, 5)
    model.metadata_props.add(key="arbonn.input", value="uint5,scale=1/16,high=16")
    result = lower(saved(tmp_path, model), LowerOptions(input=contract))
    assert result.contract_source == text
    assert str(result.contract) == (contract or "uint5,scale=1/16,high=16")


def test_codes_by_table_become_a_lookup(tmp_path: Path) -> None:
    """Values that no line fits, but integers times one scale do: 0, 3, 1, 2 quarters."""
    b = Builder((1, 6)).then("MatMul", np.where(np.arange(18).reshape(6, 3) % 2, 1, -1) * 1.0)
    np.save(tmp_path / "table.npy", np.array([0, 0.75, 0.25, 0.5], np.float32))
    path = saved(tmp_path, b.model())
    result = lower(path, LowerOptions(input="uint2", input_table=tmp_path / "table.npy", samples=64))
    assert [n.kind for n in result.graph.nodes] == ["Lookup", "MVAU", "LabelSelect"]
    node = result.graph.node("lookup_0")
    assert isinstance(node, Lookup)
    assert node.table.tolist() == [[0, 3, 1, 2]]
    assert (result.verification.mismatches, result.verification.labels_equal) == ([], 64)


def test_leading_quantizer_is_a_contract_and_costs_no_unit(tmp_path: Path) -> None:
    b = Builder((1, 6)).then("Quant", np.float32(0.1), np.float32(0), np.float32(4), signed=0, narrow=0, rounding_mode="ROUND")
    b.then("MatMul", np.where(np.arange(18).reshape(6, 3) % 2, 1, -1).astype(np.float32))
    result = lower(saved(tmp_path, b.model()))
    assert (result.contract_source, str(result.contract)) == ("quantizer", "uint4,scale=0.1")
    assert [n.kind for n in result.graph.nodes] == ["MVAU", "LabelSelect"]
