"""The input contract: what an integer code at the accelerator's input means to the float network (`--input`).

A file does not say what its float input means. The contract does, exactly: value = float32(code - zero) * float32(numerator) /
float32(denominator), in this order, or a table of one value a code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arbonn.errors import InputError
from arbonn.files import UNREADABLE
from arbonn.hw.datatypes import DataType, Integers, datatype

ALLOWED = "TYPE[,scale=A or A/B][,zero=Z], as in `uint8,scale=1/255` or `uint8,scale=0.5,zero=128` or `bipolar`"


@dataclass(frozen=True, eq=False)
class InputContract:
    """Codes of type `dtype` to float32 values; `low` and `high` narrow the codes that occur (17 grey levels in a UINT5)."""

    dtype: DataType
    numerator: float = 1.0
    denominator: float = 1.0
    zero: int = 0
    low: int | None = None
    high: int | None = None
    table: NDArray[np.float32] | None = None

    def codes(self) -> Integers:
        """Every code that may occur, rising."""
        every = self.dtype.every()
        low, high = (self.dtype.low if self.low is None else self.low), (self.dtype.high if self.high is None else self.high)
        return every[(every >= low) & (every <= high)]

    def values(self, codes: NDArray[Any]) -> NDArray[np.float32]:
        """float32 values of integer codes, element by element. Raises InputError for a code outside the contract."""
        given, allowed = np.asarray(codes), self.codes()
        array = given.astype(np.int64)  # a uint64 of 2^63 and more wraps, to a negative code that a signed contract may hold
        outside = ~np.isin(array, allowed) | (array != given)
        if outside.any():
            wrong = given[outside].flat[0]
            raise InputError("input data", found=f"code {wrong}", allowed=f"{self.dtype} codes {allowed[0]} .. {allowed[-1]}")
        if self.table is not None:
            return self.table[array - self.dtype.low]
        value = (array - self.zero).astype(np.float32)
        if self.numerator != 1.0:
            value = value * np.float32(self.numerator)
        return value / np.float32(self.denominator) if self.denominator != 1.0 else value

    def encode(self, data: NDArray[Any], where: str = "input data") -> Integers:
        """Integer arrays are codes and only checked; float arrays must hit the contract's values exactly."""
        array = np.asarray(data)
        if array.dtype.kind in "iub":
            self.values(array)
            return array.astype(np.int64)
        codes = self.codes()
        values = self.values(codes)
        order = np.argsort(values, kind="stable")
        index = np.searchsorted(values[order], array.astype(np.float32)).clip(0, len(codes) - 1)
        hit = codes[order][index]
        if array.dtype.kind != "f" or not np.array_equal(self.values(hit), array):
            raise InputError(
                where,
                found="float values that are none of the input contract's" if array.dtype.kind == "f" else f"{array.dtype} data",
                allowed=f"integer codes, or floats that equal one of the contract's {len(codes)} values exactly",
                fix="store the codes (uint8 pixels, say) in place of scaled floats",
            )
        return hit

    def __str__(self) -> str:
        if self.table is not None:
            return f"{self.dtype.name.lower()},table"
        scale = f"{self.numerator:g}" + (f"/{self.denominator:g}" if self.denominator != 1 else "")
        limits = "".join(f",{key}={value}" for key, value in (("low", self.low), ("high", self.high)) if value is not None)
        return f"{self.dtype.name.lower()},scale={scale}" + (f",zero={self.zero}" if self.zero else "") + limits


def parse_contract(text: str, table: Path | None = None) -> InputContract:
    """Reads `uint8,scale=1/255,zero=128`; raises InputError that quotes the part it could not read."""

    def wrong(part: str) -> InputError:
        return InputError("--input", found=f"{part!r} in {text!r}", allowed=ALLOWED)

    name, *options = text.split(",")
    if not re.fullmatch(r"bipolar|binary|ternary|u?int([1-9]|1[0-6])", name, re.IGNORECASE):
        raise wrong(name)
    fields: dict[str, Any] = {"dtype": datatype(name.upper())}
    seen = set()
    for option in options:
        key, _, value = option.partition("=")
        if key in seen:
            raise wrong(option)
        seen.add(key)
        if key == "scale" and (match := re.fullmatch(r"([0-9.eE+-]+)(?:/([0-9.eE+-]+))?", value)):
            try:
                fields["numerator"], fields["denominator"] = float(match[1]), float(match[2] or 1)
            except ValueError:
                raise wrong(option) from None
            if not (0 < fields["numerator"] < np.inf and 0 < fields["denominator"] < np.inf):
                raise wrong(option)
        elif key in ("zero", "low", "high") and re.fullmatch(r"-?\d{1,9}", value):
            fields[key] = int(value)
        else:
            raise wrong(option)
    contract = InputContract(**fields)
    if contract.codes().size == 0:
        raise InputError("--input", found=f"no code between low and high in {text!r}", allowed=ALLOWED)
    if table is not None:
        return _with_table(contract, table)
    with np.errstate(over="ignore", invalid="ignore"):
        values = contract.values(contract.codes())
    if not (np.isfinite(values).all() and (values[1:] > values[:-1]).all()):  # too small or too large for float32
        raise InputError("--input", found=f"codes that are no rising float32 values in {text!r}", allowed=ALLOWED)
    return contract


def _with_table(contract: InputContract, path: Path) -> InputContract:
    try:
        with path.open("rb") as raw:  # a broken archive would stay open in np.load
            table = np.load(raw, allow_pickle=False)
    except UNREADABLE as error:
        raise InputError(str(path), found=f"no readable .npy file ({error})", allowed="a .npy file of float32 values") from None
    expected = contract.dtype.high - contract.dtype.low + 1
    if not isinstance(table, np.ndarray):
        raise InputError(str(path), found="an archive of arrays (.npz)", allowed="a .npy file of float32 values")
    if table.shape != (expected,) or table.dtype.kind != "f" or not (np.abs(table) <= np.finfo(np.float32).max).all():
        raise InputError(
            str(path),
            found=f"{table.dtype} of shape {table.shape}",
            allowed=f"finite float32 of shape ({expected},), one value for each code",
        )
    return InputContract(contract.dtype, table=table.astype(np.float32), low=contract.low, high=contract.high)
