"""Constants and types that mean nothing: the whole text, and no warning on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from arbonn.errors import LoweringError
from arbonn.flows.dry_run import dry_run
from arbonn.flows.lowering.importer import import_model
from arbonn.flows.lowering.lower import LowerOptions, lower
from tests.flows.networks import Builder

F = np.float32
SIGNS = np.where(np.arange(18).reshape(6, 3) % 2, 1, -1).astype(F)
DAMAGED = np.where(np.arange(18).reshape(6, 3) == 4, np.nan, SIGNS).astype(F)
ROUND = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}


def activation(*quantizer: Any, op: str = "Quant", **attributes: Any) -> onnx.ModelProto:
    """A layer, one element-wise operator with the constants `quantizer`, a layer."""
    chain = Builder((1, 6)).then("MatMul", SIGNS).then(op, *quantizer, **(ROUND if op == "Quant" else attributes))
    return chain.then("MatMul", np.ones((3, 2), F)).model()


def layer(latent: np.ndarray[Any, Any], bits: int, scale: float) -> onnx.ModelProto:
    """A layer of quantized weights."""
    chain = Builder((1, 6))
    return chain.then("MatMul", chain.weights(latent, bits, F(scale))).model()


def norm(variance: float, bias: float = 0) -> onnx.ModelProto:
    ones = np.ones(3, F)
    return activation(ones, ones * F(bias), ones, ones * F(variance), op="BatchNormalization")


CASES: dict[str, tuple[Callable[[], onnx.ModelProto], str, str, str]] = {
    **{
        f"{bits:g} bits": (lambda bits=bits: activation(F(1), F(0), F(bits)), "quant1 (Quant)", f"quantizes to {bits:g} bits", "bits")  # type: ignore[misc]
        for bits in (0, -1, 2.5, 65, np.inf)
    },
    **{
        f"scale {scale}": (lambda scale=scale: activation(F(scale), F(0), F(4)), "quant1 (Quant)", f"has the scale {scale}", "scale")  # type: ignore[misc]
        for scale in ("inf", "-inf", "0")
    },
    "scale of weights": (lambda: layer(SIGNS, 4, np.inf), "quant0 (Quant)", "has the scale inf", "scale"),
    "scale of signs": (lambda: layer(SIGNS, 1, np.inf), "bipolarquant0 (BipolarQuant)", "has the scale inf", "scale"),
    "NaN bits": (
        lambda: activation(F(1), F(0), F(np.nan)), "quant1 (Quant)",
        "takes the constant 'c3', of whose 1 values 1 are no numbers (NaN)", "constant",
    ),
    "NaN weights": (
        lambda: Builder((1, 6)).then("MatMul", DAMAGED).model(), "matmul0 (MatMul)",
        "takes the constant 'c0', of whose 18 values 1 are no numbers (NaN)", "constant",
    ),
    "NaN below a sign": (
        lambda: layer(DAMAGED, 1, 1), "bipolarquant0 (BipolarQuant)",
        "takes the constant 'c0', of whose 18 values 1 are no numbers (NaN)", "constant",
    ),
    "infinite factor": (
        lambda: activation(F(np.inf), op="Mul"), "mul1 (Mul)", "takes the constant 'c1', of whose 1 values 1 are infinite", "constant",
    ),
    "infinite bias": (
        lambda: norm(1, -np.inf), "batchnormalization1 (BatchNormalization)",
        "takes the constant 'c2', of whose 3 values 3 are infinite", "constant",
    ),
    "variance": (lambda: norm(-1), "batchnormalization1 (BatchNormalization)", "has the variance -1", "variance"),
}  # fmt: skip
FIX = {
    "bits": "give a whole number of bits, 1 to 64",
    "scale": "give a finite scale that is not 0",
    "constant": "train again: a training that diverged leaves such values",
    "variance": "give a variance of 0 or more",
}


@pytest.mark.parametrize("case", CASES)
def test_a_constant_that_means_nothing_is_told(case: str, tmp_path: Path) -> None:
    model, where, why, kind = CASES[case]
    path = tmp_path / "net.onnx"
    onnx.save(model(), path)
    with pytest.raises(LoweringError) as error:
        lower(path, LowerOptions(input="bipolar"))
    assert str(error.value) == f"LoweringError: {where}: the node {why}\n  fix      {FIX[kind]}"
    (problem,) = dry_run(path, "bipolar").problems
    assert (f"{problem.node} ({problem.operator})", problem.why, problem.fix) == (where, why, FIX[kind])


def test_bounds_may_be_infinite_and_what_leads_nowhere_may_be_anything(tmp_path: Path) -> None:
    chain = Builder((1, 6)).then("MatMul", SIGNS).then("Clip", F(-np.inf), F(np.inf)).then("BipolarQuant", F(1))
    model = chain.then("MatMul", np.ones((3, 2), F)).model()
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.full(3, np.nan, F), "unused"))
    onnx.save(model, tmp_path / "net.onnx")
    assert not lower(tmp_path / "net.onnx", LowerOptions(input="bipolar")).verification.mismatches


@pytest.mark.parametrize(("kind", "name"), [(8, "STRING"), (9, "BOOL"), (0, "UNDEFINED"), (14, "COMPLEX64"), (77, "77")])
def test_an_input_that_holds_no_numbers_is_told(kind: int, name: str) -> None:
    model = activation(F(1), F(0), F(4))
    model.graph.input[0].type.tensor_type.elem_type = kind
    with pytest.raises(LoweringError) as error:
        import_model(model, "net.onnx")
    assert str(error.value) == (
        f"LoweringError: net.onnx input 'x': type {name}\n  allowed  floating-point and integer types\n  fix      export with a float input"
    )
