"""What `arbonn lower` tells of a graph besides its cycles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from arbonn.flows.lowered import lower_and_fold
from arbonn.flows.options import LowerOptions
from tests.flows.lowering.test_lower import saved
from tests.flows.networks import Builder


@pytest.mark.parametrize(("most", "bits"), [(1, 1), (3, 3), (100, 8)])
def test_a_weight_has_the_bits_that_are_kept_of_it(most: int, bits: int, tmp_path: Path) -> None:
    weights = np.where(np.arange(18).reshape(6, 3) % 2, most, -most)
    weights[0, 0] = 1
    path = saved(tmp_path, Builder((1, 6)).then("MatMul", weights.astype(np.float32)).model())
    assert lower_and_fold(path, LowerOptions(input="uint2", max_samples=4), tmp_path).weight_bits == 18 * bits
