"""Comparing is exact, and files give back what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import Stream
from arbonn.sim.records import Comparison, Difference, compare, judge, read_expected, write_expected, write_layout
from arbonn.sim.trace import Trace


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Two streams, 1 to 8 transfers each, payloads of up to 70 bits."""
    cycles = st.sets(st.integers(0, 50), min_size=1, max_size=8).map(lambda c: np.array(sorted(c), np.int64))
    transfers = {name: draw(cycles) for name in ("a", "b")}
    payloads = {name: draw(st.lists(st.integers(0, (1 << 70) - 1), min_size=len(at), max_size=len(at))) for name, at in transfers.items()}
    return Trace(transfers, 51, payloads)


@given(traces())
def test_a_trace_equals_itself(trace: Trace) -> None:
    assert compare(trace, trace) == Comparison(sum(map(len, trace.transfers.values())), 0, 0, 0, None)


@given(traces(), st.data())
def test_one_changed_payload_is_one_bit_mismatch(trace: Trace, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, len(trace.payloads["b"]) - 1))
    changed = [p ^ (j == k) for j, p in enumerate(trace.payloads["b"])]
    seen = Trace(trace.transfers, 51, trace.payloads | {"b": changed})
    first = Difference("payload", "b", k, int(trace.transfers["b"][k]), hex(trace.payloads["b"][k]), hex(changed[k]))
    assert compare(trace, seen) == Comparison(sum(map(len, trace.transfers.values())), 1, 0, 0, first)


@given(traces(), st.integers(0, 7))
def test_missing_and_extra_transfers_count_in_both(trace: Trace, dropped: int) -> None:
    keep = max(0, len(trace.transfers["a"]) - dropped)
    gone = len(trace.transfers["a"]) - keep
    short = Trace(trace.transfers | {"a": trace.transfers["a"][:keep]}, 51, trace.payloads | {"a": trace.payloads["a"][:keep]})
    for expected, seen, kind in ((trace, short, "missing"), (short, trace, "extra")):
        found = compare(expected, seen)
        assert (found.bit_mismatches, found.cycle_mismatches, found.equal) == (gone, gone, gone == 0)
        if found.first is not None:
            assert (found.first.kind, found.first.transfer, found.first.cycle) == (kind, keep, trace.transfers["a"][keep])


def test_the_earlier_difference_is_first_and_upstream_wins_a_tie() -> None:
    at = {"a": np.array([3, 6]), "b": np.array([3, 5])}
    expected = Trace(at, 7, {"a": [1, 1], "b": [1, 1]})
    for a, b, stream, cycle in (([1, 0], [1, 0], "b", 5), ([0, 1], [0, 1], "a", 3), ([1, 0], [1, 1], "a", 6)):
        first = compare(expected, Trace(at, 7, {"a": a, "b": b})).first
        assert first is not None
        assert (first.stream, first.cycle) == (stream, cycle)


def test_a_breach_of_the_rules_alone_is_a_difference() -> None:
    clean = Trace({"a": np.array([3])}, 7, {"a": [1]})
    seen = Trace(clean.transfers, 7, clean.payloads, ("cycle 2: a: valid fell before the transfer",))
    breach = Difference("rule", "a", None, 2, "the stream rules kept", "valid fell before the transfer")
    assert compare(clean, seen) == Comparison(1, 0, 0, 1, breach)


def test_what_is_expected_survives_its_file(tmp_path: Path) -> None:
    streams = [Stream("a", (70,), datatype("BINARY"), 70), Stream("b", (1,), datatype("BINARY"), 1)]
    trace = Trace({"a": np.array([0, 2]), "b": np.array([], np.int64)}, 3, {"a": [1 << 69, 5], "b": []})
    write_layout(tmp_path, streams, 10)
    write_expected(tmp_path, trace)
    again = read_expected(tmp_path)
    assert compare(trace, again).equal
    assert (again.payloads, again.cycles) == (trace.payloads, 3)


def test_a_transfer_that_was_not_recorded_fails_the_judgement(tmp_path: Path) -> None:
    write_layout(tmp_path, [Stream("a", (4,), datatype("BINARY"), 4)], 10)
    write_expected(tmp_path, Trace({"a": np.array([2])}, 3, {"a": [6]}))
    (tmp_path / "a.rec").write_bytes(np.array([2, 6], np.uint32).tobytes())
    (tmp_path / "violations").write_text("")
    assert judge(tmp_path, 0.5) == Comparison(1, 0, 0, 0, None)
    (tmp_path / "a.rec").write_bytes(b"")
    assert judge(tmp_path, 0.5) == Comparison(1, 1, 1, 0, Difference("missing", "a", 0, 2, "0x6", "no transfer"))
