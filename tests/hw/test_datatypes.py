"""Types, packing and the input contract: what is stored is read back, and what is not allowed is named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from arbonn.errors import ArbonnError, GraphError, InputError
from arbonn.hw.contract import ALLOWED, parse_contract
from arbonn.hw.datatypes import DataType, datatype, smallest
from arbonn.hw.graph import Stream
from arbonn.hw.packing import pack, unpack
from tests.strategies import seeds, types, values


@given(dtype=types)
def test_every_value_is_stored_in_its_own_code(dtype: DataType) -> None:
    codes = dtype.encode(dtype.every())
    assert len(set(codes.tolist())) == len(codes)
    assert codes.min() >= 0
    assert codes.max() < 1 << dtype.bits
    assert_array_equal(dtype.decode(codes), dtype.every())


@given(low=st.integers(-(2**40), 2**40), span=st.integers(0, 2**40))
def test_the_smallest_type_holds_the_range_and_one_bit_less_does_not(low: int, span: int) -> None:
    dtype = smallest(low, low + span)
    assert dtype.low <= low
    assert low + span <= dtype.high
    if dtype.bits > 1:
        half = dtype.bits - 1
        narrow = (-(1 << half - 1), (1 << half - 1) - 1) if low < 0 else (0, (1 << half) - 1)
        assert low < narrow[0] or low + span > narrow[1]


@pytest.mark.parametrize("name", ["UINT0", "INT", "uint8", "FLOAT32", "UINT49", ""])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(GraphError) as caught:
        datatype(name)
    assert str(caught.value) == f"GraphError: type {name!r}: no such type\n  allowed  BIPOLAR, BINARY, TERNARY, UINT1..48, INT1..48"


@given(dtype=types, lanes=st.integers(1, 9), folds=st.integers(1, 4), frames=st.integers(1, 3), seed=seeds)
def test_packed_transfers_unpack_to_the_same_values(dtype: DataType, lanes: int, folds: int, frames: int, seed: int) -> None:
    stream = Stream("s", (2, lanes * folds), dtype, lanes)
    frame = values(np.random.default_rng(seed), dtype, (frames, *stream.shape))
    words = pack(frame, stream)
    assert len(words) == frames * stream.transfers
    assert max(words) < 1 << stream.width
    assert_array_equal(unpack(words, stream).reshape(frame.shape), frame)


def test_lane_0_is_in_the_low_bits_and_the_channel_is_fastest() -> None:
    stream = Stream("s", (4,), datatype("UINT4"), 2)
    assert pack(np.array([[1, 2, 3, 4]]), stream) == [0x21, 0x43]


def test_the_contract_divides_as_it_is_written() -> None:
    contract = parse_contract("uint8,scale=1/255")
    codes = np.arange(256)
    assert_array_equal(contract.values(codes), codes.astype(np.float32) / np.float32(255))
    assert_array_equal(contract.encode(contract.values(codes)), codes)


@pytest.mark.parametrize(
    "text", ["uint8,scale=1/255", "uint8,scale=0.5,zero=128", "int4", "bipolar", "uint5,scale=1/16,high=16", "uint3,low=2,high=6"]
)
def test_a_contract_reads_back_as_it_prints(text: str) -> None:
    contract = parse_contract(text)
    again = parse_contract(str(contract))
    assert_array_equal(again.codes(), contract.codes())
    assert_array_equal(again.values(again.codes()), contract.values(contract.codes()))


@pytest.mark.parametrize(
    "part", ["float32", "uint8,scale=0", "uint8,scale=1/", "uint8,scale=nan", "uint8,zero=x", "uint8,mean=3", "uint99", ""]
)
def test_another_contract_is_refused_by_its_part(part: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_contract(part)
    wrong = part.split(",")[-1]
    assert str(caught.value) == f"InputError: --input: {wrong!r} in {part!r}\n  allowed  {ALLOWED}"


def test_data_outside_the_contract_is_refused() -> None:
    contract = parse_contract("uint5,scale=1/16,high=16")
    with pytest.raises(InputError, match=r"InputError: input data: code 17\n  allowed  UINT5 codes 0 \.\. 16"):
        contract.encode(np.array([3, 17]))
    with pytest.raises(InputError, match="float values that are none of the input contract's"):
        contract.encode(np.array([0.5, 0.51], np.float32))


def test_an_error_keeps_its_fields_across_processes() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(InputError("a", found="b", allowed="c", fix="d")))
    assert isinstance(error, ArbonnError)
    assert (error.where, error.found, error.allowed, error.fix, error.exit_code) == ("a", "b", "c", "d", 2)
