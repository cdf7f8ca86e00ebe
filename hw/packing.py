"""Frames to transfers and back, defined once: channel fastest, lane 0 in the low bits, each element stored as its type says."""

from __future__ import annotations

import numpy as np

from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Stream


def pack(values: Integers, stream: Stream) -> list[int]:
    """Frames (frames, *shape) to payloads, one Python integer of `stream.width` bits a transfer, in the order they pass."""
    codes = stream.dtype.encode(values).reshape(-1, stream.lanes)
    planes = (codes[:, :, None] >> np.arange(stream.dtype.bits)) & 1
    octets = np.packbits(planes.reshape(len(codes), -1).astype(np.uint8), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in octets]


def unpack(payloads: list[int], stream: Stream) -> Integers:
    """Payloads to values (transfers, lanes); the inverse of `pack` but for the frame's shape."""
    size = (stream.width + 7) // 8
    raw = np.frombuffer(b"".join(p.to_bytes(size, "little") for p in payloads), np.uint8).reshape(len(payloads), size)
    bits = np.unpackbits(raw, axis=1, count=stream.width, bitorder="little").astype(np.int64)
    codes = (bits.reshape(len(payloads), stream.lanes, stream.dtype.bits) << np.arange(stream.dtype.bits)).sum(axis=2)
    return stream.dtype.decode(codes)
