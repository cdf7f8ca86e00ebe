"""Laws of the serial protocol's frames."""

from __future__ import annotations

from amaranth.lib.crc.catalog import CRC16_IBM_3740
from hypothesis import assume, given
from hypothesis import strategies as st

from arbonn.hw.shells.protocol import SYNC, VERSION, Decoder, Frame, Info, Kind, Result, checksum, encode

infos = st.builds(
    Info,
    accelerator=st.integers(0, 0xFFFF),
    graph_hash=st.integers(0, 2**64 - 1),
    elements=st.integers(1, 800),
    element_bits=st.integers(1, 16),
    classes=st.integers(1, 100),
    logit_bits=st.integers(2, 32),
    logit_signed=st.booleans(),
)
payloads = st.binary(max_size=40)
noise = st.binary(max_size=60)


@given(data=st.binary(max_size=100))
def test_host_and_device_use_one_checksum(data):
    assert checksum(data) == CRC16_IBM_3740(data_width=8).compute(data)
    assert checksum(data + checksum(data).to_bytes(2, "big")) == 0


@given(info=infos)
def test_info_comes_back(info):
    assert Info.decode(info.encode()) == info


@given(info=infos, data=st.data())
def test_results_come_back(info, data):
    low = -(1 << (info.logit_bits - 1)) if info.logit_signed else 0
    logit = st.integers(low, low + (1 << info.logit_bits) - 1)
    logits = data.draw(st.lists(logit, min_size=info.classes, max_size=info.classes))
    result = Result(data.draw(st.integers(0, 0xFFFF)), tuple(logits), data.draw(st.integers(0, 2**32 - 1)))
    assert info.result(info.encode_result(result)) == result
    assert len(info.encode_result(result)) == info.result_bytes


@given(before=noise, payload=payloads, after=noise, cuts=st.lists(st.integers(1, 20), max_size=8))
def test_a_frame_is_found_in_noise_however_it_arrives(before, payload, after, cuts):
    wanted = encode(Kind.INFO, payload)
    assume(bytes([SYNC, VERSION, Kind.INFO]) not in before)  # a header in the noise takes a frame's time to be refused
    decoder = Decoder({Kind.INFO: len(payload)})
    found, line = [], before + wanted + after + bytes(60)
    for size in cuts:
        found += decoder.feed(line[:size])
        line = line[size:]
    found += decoder.feed(line)
    assert found[0] == Frame(Kind.INFO, payload)


@given(payload=payloads, data=st.data())
def test_any_flipped_bit_is_refused(payload, data):
    frame = bytearray(encode(Kind.RESULT, payload))
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    frame[bit // 8] ^= 1 << (bit % 8)
    assert Decoder({Kind.RESULT: len(payload), Kind.ERROR: 1}).feed(bytes(frame) + bytes(60)) == []


@given(payload=payloads)
def test_a_cut_frame_does_not_swallow_the_next(payload):
    frame = encode(Kind.RESULT, payload)
    for cut in range(len(frame)):
        assert Decoder({Kind.RESULT: len(payload)}).feed(frame[:cut] + frame) == [Frame(Kind.RESULT, payload)]


def test_an_image_is_its_codes_in_order():
    info = Info(0, 0, elements=3, element_bits=10, classes=2, logit_bits=8, logit_signed=True)
    assert info.request([1, 0x3FF, 2]) == encode(Kind.INFER, bytes([1, 0, 0xFF, 3, 2, 0]))
