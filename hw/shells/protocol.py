"""The serial protocol between host and device, defined once: the UART shell takes its constants from here, host and tests all of it.

A frame, both ways (numbers little-endian but the CRC):

    offset  bytes  field    meaning
    0       1      sync     0xA5; not in the CRC
    1       1      version  1: the version of this table
    2       1      kind     what the payload is (below)
    3       2      length   bytes of the payload
    5       length payload
    5 + n   2      crc      CRC-16/CCITT (polynomial 0x1021, start 0xFFFF) of version .. payload, high byte first

    kind         value  from    payload
    INFO         0x01   host    empty
    INFER        0x02   host    one frame: every element as its stored code in ceil(bits / 8) bytes, in stream order
    INFO_ANSWER  0x81   device  accelerator version u16, graph hash u64, input elements u16, bits of an element u8, classes u16,
                                bits of a logit u8, 1 if logits are two's complement u8
    RESULT       0x82   device  class u16, cycles u32 from the first input transfer to the label's, every logit in ceil(bits / 8) bytes
    ERROR        0xFF   device  fault u8: 1 CRC, 2 version, 3 kind, 4 length, 5 silence (the line stopped within a frame)

The device answers every frame whose sync it saw with one frame, an ERROR where something is wrong, and ignores what arrives while it
computes or answers. The length of each kind is fixed, so a flipped bit in a length cannot pass, whatever the CRC says. A wrong CRC is
told at once; a wrong version, kind or length, and a frame that breaks off, once the line has been silent for `uart.TIMEOUT` cycles, since
nobody knows where such a frame ends. So silence of that length always brings the device back to hunting for a sync byte.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arbonn.errors import GraphError
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph, Stream

SYNC = 0xA5
VERSION = 1
CRC_START = 0xFFFF
MAX_PAYLOAD = 0xFFFF

_HEADER = struct.Struct("<BBBH")
_INFO = struct.Struct("<HQHBHBB")
_RESULT = struct.Struct("<HI")


class Kind(IntEnum):
    """What a frame is."""

    INFO = 0x01
    INFER = 0x02
    INFO_ANSWER = 0x81
    RESULT = 0x82
    ERROR = 0xFF


class Fault(IntEnum):
    """What was wrong with a request."""

    CRC = 1
    VERSION = 2
    KIND = 3
    LENGTH = 4
    SILENCE = 5


@dataclass(frozen=True)
class Frame:
    """A frame that was received whole."""

    kind: int
    payload: bytes


@dataclass(frozen=True)
class Result:
    """The device's answer for one frame; `cycles` as the device counted them."""

    label: int
    logits: tuple[int, ...]
    cycles: int


@dataclass(frozen=True)
class Info:
    """What a device says of itself; equal for host and device exactly if the sizes of all frames are."""

    accelerator: int
    graph_hash: int
    elements: int
    element_bits: int
    classes: int
    logit_bits: int
    logit_signed: bool

    @classmethod
    def of(cls, x: Stream, logits: Stream, accelerator: int, graph_hash: int) -> Info:
        """The device built from these streams. Raises GraphError where the protocol's fields are too narrow."""
        info = cls(accelerator, graph_hash, x.elements, x.dtype.bits, logits.elements, logits.dtype.bits, logits.dtype.signed)
        for what, size in (("a request", info.request_bytes), ("an answer", info.result_bytes)):
            if size > MAX_PAYLOAD:
                raise GraphError("UART shell", found=f"{what} of {size} bytes", allowed=f"at most {MAX_PAYLOAD} bytes a frame")
        return info

    @property
    def element_bytes(self) -> int:
        return (self.element_bits + 7) // 8

    @property
    def logit_bytes(self) -> int:
        return (self.logit_bits + 7) // 8

    @property
    def request_bytes(self) -> int:
        """Payload of INFER."""
        return self.elements * self.element_bytes

    @property
    def result_bytes(self) -> int:
        """Payload of RESULT."""
        return _RESULT.size + self.classes * self.logit_bytes

    def encode(self) -> bytes:
        """Payload of INFO_ANSWER."""
        sizes = (self.elements, self.element_bits, self.classes, self.logit_bits, int(self.logit_signed))
        return _INFO.pack(self.accelerator, self.graph_hash, *sizes)

    @classmethod
    def decode(cls, payload: bytes) -> Info:
        """The inverse of `encode`."""
        accelerator, graph_hash, elements, element_bits, classes, logit_bits, signed = _INFO.unpack(payload)
        return cls(accelerator, graph_hash, elements, element_bits, classes, logit_bits, bool(signed))

    def request(self, codes: Sequence[int] | NDArray[Any]) -> bytes:
        """The whole INFER frame of one image of stored codes, in stream order."""
        flat = np.asarray(codes, dtype=np.int64).reshape(-1)
        assert len(flat) == self.elements
        return encode(Kind.INFER, b"".join(int(code).to_bytes(self.element_bytes, "little") for code in flat))

    def encode_result(self, result: Result) -> bytes:
        """Payload of RESULT."""
        logits = b"".join(value.to_bytes(self.logit_bytes, "little", signed=self.logit_signed) for value in result.logits)
        return _RESULT.pack(result.label, result.cycles) + logits

    def result(self, payload: bytes) -> Result:
        """The inverse of `encode_result`."""
        label, cycles = _RESULT.unpack_from(payload)
        cuts = range(_RESULT.size, len(payload), self.logit_bytes)
        logits = tuple(int.from_bytes(payload[at : at + self.logit_bytes], "little", signed=self.logit_signed) for at in cuts)
        return Result(label, logits, cycles)

    @property
    def answers(self) -> dict[int, int]:
        """Length of every kind that this device sends."""
        return {**ANSWERS, Kind.RESULT: self.result_bytes}


INFO_BYTES = _INFO.size
RESULT_HEAD_BYTES = _RESULT.size
ANSWERS: Mapping[int, int] = {Kind.INFO_ANSWER: INFO_BYTES, Kind.ERROR: 1}  # known before the device said what it is


def checksum(data: bytes) -> int:
    """CRC-16/CCITT-FALSE."""
    return binascii.crc_hqx(data, CRC_START)


def encode(kind: int, payload: bytes = b"", version: int = VERSION) -> bytes:
    """A whole frame."""
    frame = _HEADER.pack(SYNC, version, kind, len(payload)) + payload
    return frame + checksum(frame[1:]).to_bytes(2, "big")


class Decoder:
    """Finds the frames in what a line delivers; bytes that belong to none are skipped.

    lengths  length of the payload by kind; a frame of another kind or length is refused.    refused  bytes skipped so far.
    """

    def __init__(self, lengths: Mapping[int, int]) -> None:
        self.lengths = dict(lengths)
        self.refused = 0
        self._waiting = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. After a wrong frame the search goes on at its second byte: nothing whole is lost."""
        self._waiting += data
        found = []
        while len(self._waiting) >= _HEADER.size:
            sync, version, kind, length = _HEADER.unpack_from(self._waiting)
            end = _HEADER.size + length + 2
            good = sync == SYNC and version == VERSION and self.lengths.get(kind) == length
            if good and len(self._waiting) < end:
                break
            if good and checksum(self._waiting[1:end]) == 0:  # over its own CRC, a frame's CRC is zero
                found.append(Frame(kind, self._waiting[_HEADER.size : end - 2]))
                self._waiting = self._waiting[end:]
            else:
                self.refused += 1
                self._waiting = self._waiting[1:]
        return found


def ends(graph: DataflowGraph) -> tuple[Stream, Stream, Stream]:
    """The streams a shell serves: the input, `label` and `logits`. Raises GraphError for a graph with others."""
    outputs = {s.id: s for s in graph.outputs}
    if len(graph.inputs) != 1 or set(outputs) != {"label", "logits"} or outputs["label"].elements != 1:
        found = f"inputs {', '.join(s.id for s in graph.inputs)}; outputs {', '.join(f'{s.id} {s.shape}' for s in graph.outputs)}"
        raise GraphError("UART shell", found=found, allowed="one input, and the outputs label (1,) and logits")
    return graph.inputs[0], outputs["label"], outputs["logits"]


def stored(images: Integers, x: Stream) -> list[Integers]:
    """Codes of images (frames, *shape) as a request carries them: flat, in stream order, as the input's type stores them."""
    return list(x.dtype.encode(images).reshape(len(images), -1))
