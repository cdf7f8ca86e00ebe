"""The host side: sends images to a board over its serial line and takes the answers; with `check`, compares them with the reference."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from arbonn.errors import CheckError, InputError
from arbonn.flows.progress import Report, silent
from arbonn.flows.serial_line import Line, SerialPort, quiet
from arbonn.hw.accelerator import version_code
from arbonn.hw.boards import Board
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.graph_file import digest
from arbonn.hw.shells.protocol import ANSWERS, Decoder, Fault, Frame, Info, Kind, Result, encode, ends
from arbonn.hw.shells.uart import TIMEOUT
from arbonn.sim.reference import execute

ATTEMPTS = 3


@dataclass(frozen=True)
class InferOutcome:
    """Answers of the device. `mismatches` is None without a check; `retries` counts requests that had to be sent again."""

    results: tuple[Result, ...]
    retries: int
    seconds: float
    mismatches: int | None = None
    first_mismatch: int | None = None

    @property
    def fps(self) -> float:
        """Frames a second over the line, waiting for each answer."""
        return len(self.results) / self.seconds if self.seconds else 0.0


def infer(
    port: str | Line,
    graph: DataflowGraph,
    images: Integers,
    board: Board,
    *,
    check: bool = False,
    bitstream: Path | None = None,
    on_progress: Report = silent,
    patience: float = 1.0,
) -> InferOutcome:
    """Runs images, values (frames, *shape) of the graph's input, on the device at `port` (a name, or an open line).

    bitstream  named in what to type when the device must be programmed.    patience  seconds to wait for an answer.
    Raises     InputError for a port that cannot be used or images that do not fit; CheckError when the device is silent, holds another
               graph, or gives no good answer in three attempts. A differing answer is counted, not raised.
    """
    x, label, logits = ends(graph)
    if images.shape[1:] != x.shape or not x.dtype.allows(images):
        raise InputError("images", found=f"shape {images.shape}", allowed=f"(frames, {', '.join(map(str, x.shape))}) of {x.dtype} values")
    if isinstance(port, str):
        with SerialPort(port, board.baud) as line:
            return infer(line, graph, images, board, check=check, bitstream=bitstream, on_progress=on_progress, patience=patience)
    name = getattr(port, "port", "device")
    wanted = Info.of(x, logits, version_code(), int(digest(graph)[:16], 16))
    program = board.program.format(bitstream=bitstream or "top.bin")
    device = Device(port, name, pause=2 * TIMEOUT / (board.clock_mhz * 1e6), patience=patience, program=program)
    device.check_graph(wanted)
    began = time.monotonic()
    results = []
    for number, codes in enumerate(x.dtype.encode(images)):
        results.append(wanted.result(device.ask(wanted.request(codes), Kind.RESULT, wanted.answers).payload))
        on_progress("inference on the device", (number + 1) / len(images))
    seconds = time.monotonic() - began
    if not check:
        return InferOutcome(tuple(results), device.retries, seconds)
    values = execute(graph, {x.id: images})
    scores = values[logits.id].reshape(len(images), -1).tolist()
    expected = zip(values[label.id].reshape(-1).tolist(), map(tuple, scores), strict=True)
    wrong = [k for k, (result, right) in enumerate(zip(results, expected, strict=True)) if (result.label, result.logits) != right]
    return InferOutcome(tuple(results), device.retries, seconds, len(wrong), wrong[0] if wrong else None)


class Device:
    """A device at the end of a line. `pause` is the silence after which it surely waits for a new frame; `program` the line to load it."""

    def __init__(self, line: Line, name: str, *, pause: float, patience: float, program: str) -> None:
        self.line, self.name, self.pause, self.patience = line, name, pause, patience
        self.program = f"program the board: {program}"
        self.retries = 0

    def info(self) -> Info:
        """What the device says of itself."""
        return Info.decode(self.ask(encode(Kind.INFO), Kind.INFO_ANSWER, ANSWERS).payload)

    def check_graph(self, wanted: Info) -> None:
        """Raises CheckError unless the device holds the wanted graph."""
        found = self.info()
        if found != wanted:
            found_told, wanted_told = f"the device holds another graph: {_told(found)}", f"the graph given: {_told(wanted)}"
            raise CheckError(self.name, found=found_told, allowed=wanted_told, fix=self.program)

    def ask(self, request: bytes, kind: Kind, lengths: Mapping[int, int]) -> Frame:
        """The answer of `kind` to a request, in at most `ATTEMPTS` attempts."""
        reasons: list[str] = []
        for attempt in range(ATTEMPTS):
            if attempt:
                self.retries += 1
                quiet(self.line, self.pause)
            self.line.write(request)
            answer, bytes_seen = self._listen(lengths)
            if answer is not None and answer.kind == kind:
                return answer
            reasons.append(_reason(answer, bytes_seen))
        if not any(reasons):
            raise CheckError(
                self.name, found=f"the device is silent: {ATTEMPTS} requests, no byte in {self.patience:g} s",
                allowed="a board with this project's bitstream", fix=f"another port, or {self.program}",
            )  # fmt: skip
        told = "; ".join(reason or "silence" for reason in reasons)
        raise CheckError(self.name, found=f"no good answer in {ATTEMPTS} attempts: {told}", fix=f"check the cable; {self.program}")

    def _listen(self, lengths: Mapping[int, int]) -> tuple[Frame | None, int]:
        decoder, seen, end = Decoder(lengths), 0, time.monotonic() + self.patience
        while (left := end - time.monotonic()) > 0:
            data = self.line.read(left)
            seen += len(data)
            if frames := decoder.feed(data):
                return frames[0], seen
        return None, seen


def _reason(answer: Frame | None, bytes_seen: int) -> str:
    if answer is None:
        return f"{bytes_seen} bytes that are no frame" if bytes_seen else ""
    if answer.kind == Kind.ERROR and answer.payload[0] in list(Fault):
        return f"the device refused the request ({Fault(answer.payload[0]).name.lower()})"
    return f"a frame of kind {answer.kind}"


def _told(info: Info) -> str:
    sizes = f"{info.elements} elements of {info.element_bits} bits, {info.classes} classes"
    return f"{info.graph_hash:016x} ({sizes}, arbonn {info.accelerator >> 8}.{info.accelerator & 0xFF})"
