"""The input contract's text and table: what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from arbonn.errors import InputError
from arbonn.hw.contract import ALLOWED, parse_contract


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("uint4,scale=1,scale=2", "'scale=2' in 'uint4,scale=1,scale=2'"),
        ("uint4,zero=99999999999999999999", "'zero=99999999999999999999' in 'uint4,zero=99999999999999999999'"),
        ("uint4,scale=1e-50", "codes that are no rising float32 values in 'uint4,scale=1e-50'"),
        ("uint4,scale=1e50", "codes that are no rising float32 values in 'uint4,scale=1e50'"),
        ("uint4,scale=1/1e50", "codes that are no rising float32 values in 'uint4,scale=1/1e50'"),
        ("uint4,zero=999999999", "codes that are no rising float32 values in 'uint4,zero=999999999'"),
    ],
)
def test_a_text_that_names_no_values_is_refused(text: str, part: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_contract(text)
    assert str(caught.value) == f"InputError: --input: {part}\n  allowed  {ALLOWED}"


def test_a_table_that_is_no_array_of_float32_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", np.zeros(4))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "t.npz").read_bytes()[:60])
    np.save(tmp_path / "large.npy", np.full(4, 1e300))
    seen = {}
    for name in ("t.npz", "cut.npz", "large.npy"):
        with pytest.raises(InputError) as caught:
            parse_contract("uint2", tmp_path / name)
        seen[name] = str(caught.value).replace(str(tmp_path), "")
    assert seen == {
        "t.npz": "InputError: /t.npz: an archive of arrays (.npz)\n  allowed  a .npy file of float32 values",
        "cut.npz": "InputError: /cut.npz: no readable .npy file (File is not a zip file)\n  allowed  a .npy file of float32 values",
        "large.npy": ("InputError: /large.npy: float64 of shape (4,)\n  allowed  finite float32 of shape (4,), one value for each code"),
    }


def test_a_code_too_large_for_any_contract_does_not_wrap() -> None:
    with pytest.raises(InputError) as error:
        parse_contract("int8").encode(np.array([[1, 2**64 - 1]], np.uint64))
    assert str(error.value) == "InputError: input data: code 18446744073709551615\n  allowed  INT8 codes -128 .. 127"
