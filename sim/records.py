"""What an RTL run wrote down, what it should have been, and where the two differ; files in the folder of one run.

S.stim, S.go, S.rec, violations   as `arbonn.sim.harness` says
layout.json      the cycles that were run, and the streams that were watched with their widths, producers before consumers
expected.npz     for each stream S `cycles_S`, and `payloads_S` as octets, lowest first
result.json      the comparison (written by the cocotb test)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arbonn.files import replacing, write_text
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph, Stream
from arbonn.hw.packing import pack
from arbonn.sim.harness import GO_BITS, RULES, record_words
from arbonn.sim.trace import Bits, Stalls, Trace

RESULT = "result.json"


@dataclass(frozen=True)
class Difference:
    """The first transfer that differs, by cycle, then by stream from inputs to outputs.

    kind       "cycle", "payload", "missing", "extra", or "rule": a breach of the stream rules, told in `seen`.
    transfer   its number on the stream, from 0; None for a breach.    cycle   the earlier one of the expected and the seen.
    """

    kind: str
    stream: str
    transfer: int | None
    cycle: int
    expected: str
    seen: str

    def __str__(self) -> str:
        which = "" if self.transfer is None else f", transfer {self.transfer}"
        return f"stream {self.stream}, cycle {self.cycle}{which}: {self.kind}: expected {self.expected}, seen {self.seen}"


@dataclass(frozen=True)
class Comparison:
    """Counts of transfers whose payload, or cycle, differs; a missing or extra transfer counts in both."""

    transfers: int
    bit_mismatches: int
    cycle_mismatches: int
    violations: int
    first: Difference | None

    @property
    def equal(self) -> bool:
        return self.first is None


@dataclass(frozen=True)
class Breach:
    """A stream rule broken, as a line of text in `Trace.violations`."""

    cycle: int
    stream: str
    rule: str

    def __str__(self) -> str:
        return f"cycle {self.cycle}: {self.stream}: {self.rule}"

    @classmethod
    def parse(cls, text: str) -> Breach:
        cycle, stream, rule = text.removeprefix("cycle ").split(": ", 2)
        return cls(int(cycle), stream, rule)


def compare(expected: Trace, seen: Trace) -> Comparison:
    """Compares all streams in `seen` with the expected ones (a bench without probes sees only the ends)."""
    bits = cycles = transfers = 0
    found: list[tuple[int, int, Difference]] = []
    order = list(seen.transfers)
    for breach in map(Breach.parse, seen.violations):  # first: an X explains the payload that differs
        rule = Difference("rule", breach.stream, None, breach.cycle, "the stream rules kept", breach.rule)
        found.append((breach.cycle, order.index(breach.stream), rule))
    for rank, (name, at) in enumerate(seen.transfers.items()):
        due = expected.transfers[name]
        wanted, given = expected.payloads[name], seen.payloads[name]
        both = min(len(due), len(at))
        unmatched = len(due) + len(at) - 2 * both
        late = np.flatnonzero(due[:both] != at[:both])
        wrong = [k for k in range(both) if wanted[k] != given[k]] if wanted[:both] != given[:both] else []
        transfers += both + unmatched
        cycles += len(late) + unmatched
        bits += len(wrong) + unmatched
        if len(late):
            k = int(late[0])
            found.append(
                (min(due[k], at[k]), rank, Difference("cycle", name, k, int(min(due[k], at[k])), f"cycle {due[k]}", f"cycle {at[k]}"))
            )
        if wrong:
            k = wrong[0]
            found.append((int(at[k]), rank, Difference("payload", name, k, int(at[k]), hex(wanted[k]), hex(given[k]))))
        if both < len(due):
            found.append((int(due[both]), rank, Difference("missing", name, both, int(due[both]), hex(wanted[both]), "no transfer")))
        if both < len(at):
            found.append((int(at[both]), rank, Difference("extra", name, both, int(at[both]), "no transfer", hex(given[both]))))
    first = min(found, key=lambda item: item[:2])[2] if found else None
    return Comparison(transfers, bits, cycles, len(seen.violations), first)


def prepare(
    folder: Path, graph: DataflowGraph, inputs: Mapping[str, Integers], stalls: Stalls | None, cycles: int, observed: Sequence[Stream],
    expected: Trace | None,
) -> None:  # fmt: skip
    """Makes `folder` ready for a run: nothing of an older one is left in it, and all files that a bench reads are there."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.iterdir():  # a crashed run must not pass by an older one's records
        if stale.is_file():
            stale.unlink()
    write_stimulus(folder, graph, inputs, stalls, cycles)
    write_layout(folder, observed, cycles)
    if expected is not None:
        write_expected(folder, expected)


def write_stimulus(folder: Path, graph: DataflowGraph, inputs: Mapping[str, Integers], stalls: Stalls | None, cycles: int) -> None:
    """The files that the HDL bench plays (formats: `arbonn.sim.harness`)."""
    for stream in graph.inputs:
        octets = (stream.width + 7) // 8
        (folder / f"{stream.id}.stim").write_bytes(b"".join(p.to_bytes(octets, "big") for p in pack(inputs[stream.id], stream)))
    for stream in (*graph.inputs, *graph.outputs):
        pattern: Bits = stalls.at(stream.id, cycles) if stalls else np.ones(0, np.bool_)
        blocks = np.ones(-(-len(pattern) // GO_BITS) * GO_BITS, np.bool_)
        blocks[: len(pattern)] = pattern
        (folder / f"{stream.id}.go").write_bytes(np.packbits(blocks).tobytes())


def write_layout(folder: Path, streams: Sequence[Stream], cycles: int) -> None:
    """What the records in `folder` mean: streams and their widths, in order."""
    write_text(folder / "layout.json", json.dumps({"cycles": cycles, "streams": [[s.id, s.width] for s in streams]}))


def write_expected(folder: Path, expected: Trace) -> None:
    """`expected.npz`: for each stream its cycles and its payloads as octets, lowest first."""
    layout = json.loads((folder / "layout.json").read_text(encoding="utf-8"))
    arrays: dict[str, NDArray[Any]] = {}
    for name, width in layout["streams"]:
        octets = 4 * (record_words(width) - 1)
        raw = b"".join(p.to_bytes(octets, "little") for p in expected.payloads[name])
        arrays[f"cycles_{name}"] = expected.transfers[name]
        arrays[f"payloads_{name}"] = np.frombuffer(raw, np.uint8).reshape(-1, octets)
    with replacing(folder / "expected.npz") as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)


def read_expected(folder: Path) -> Trace:
    """What `write_expected` wrote."""
    with np.load(folder / "expected.npz", allow_pickle=False) as arrays:
        names = [key.removeprefix("cycles_") for key in arrays if key.startswith("cycles_")]
        transfers = {name: arrays[f"cycles_{name}"] for name in names}
        payloads = {name: [int.from_bytes(row.tobytes(), "little") for row in arrays[f"payloads_{name}"]] for name in names}
    return Trace(transfers, max((int(t[-1]) + 1 for t in transfers.values() if len(t)), default=0), payloads)


def read_records(folder: Path) -> Trace:
    """What the HDL bench wrote down; `cycles` is the number of cycles it ran."""
    layout = json.loads((folder / "layout.json").read_text(encoding="utf-8"))
    transfers: dict[str, Integers] = {}
    payloads: dict[str, list[int]] = {}
    for name, width in layout["streams"]:
        words = record_words(width)
        records = np.fromfile(folder / f"{name}.rec", np.uint32).reshape(-1, words)
        transfers[name] = records[:, 0].astype(np.int64)
        little = np.ascontiguousarray(records[:, 1:].astype("<u4"))
        payloads[name] = (
            [int.from_bytes(row.tobytes(), "little") for row in little] if words > 2 else little[:, 0].astype(np.int64).tolist()
        )
    names = [name for name, _ in layout["streams"]]
    lines = (folder / "violations").read_text(encoding="ascii").splitlines()
    breaches = (Breach(cycle, names[stream], RULES[rule]) for cycle, stream, rule in (map(int, line.split()) for line in lines))
    return Trace(transfers, layout["cycles"], payloads, tuple(map(str, breaches)))


def judge(folder: Path, simulation_s: float) -> Comparison | None:
    """Compares the records in `folder` with `expected.npz` there, if any, and writes `result.json`."""
    compared = compare(read_expected(folder), read_records(folder)) if (folder / "expected.npz").is_file() else None
    result = {"simulation_s": simulation_s, "compared": asdict(compared) if compared else None}
    write_text(folder / RESULT, json.dumps(result, indent=1) + "\n")
    return compared


def read_result(folder: Path) -> tuple[Comparison | None, float]:
    """What `judge` wrote: the comparison, and the seconds that simulation took."""
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    compared = result["compared"]
    if compared is None:
        return None, result["simulation_s"]
    first = Difference(**compared.pop("first")) if compared["first"] else None
    return Comparison(**{**compared, "first": first}), result["simulation_s"]
