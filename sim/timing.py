"""The timing engine: the exact cycle of every transfer on every stream, before any RTL is run.

It steps the same schedules that the RTL's Sequencers run, by the semantics written in `arbonn.hw.schedule`, and knows nothing of any
particular unit. Marks, needs and adds become one table entry a step (numpy), and one compiled function (numba) steps all schedules and
buffers together, cycle by cycle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from arbonn.errors import CheckError
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.schedule import Cond, Schedule
from arbonn.sim.deadlock import State, explained, placed
from arbonn.sim.engine import NEVER, step_all
from arbonn.sim.trace import Bits, Stalls, Trace


@dataclass
class _Tables:
    """The graph flattened to integer lists, in the order in which `step_all` wants them."""

    schedules: list[list[int]] = field(
        default_factory=list
    )  # steps, table offset, depth, then (offset, count) of takes, gives, needs, adds
    takes: list[int] = field(default_factory=list)  # stream of each take port
    gives: list[int] = field(default_factory=list)
    needs: list[list[int]] = field(default_factory=list)  # counter, sign, table offset
    adds: list[list[int]] = field(default_factory=list)  # counter, table offset
    marks: list[Integers] = field(default_factory=list)  # (steps,): take mask + give mask << 16
    amounts: list[Integers] = field(default_factory=list)  # (steps,): need or add of each step
    counters: list[int] = field(default_factory=list)
    buffers: list[list[int]] = field(default_factory=list)  # stream in, stream out, depth

    def amount(self, table: Integers) -> int:
        """Keeps a table and returns its offset."""
        offset = sum(len(t) for t in self.amounts)
        self.amounts.append(table)
        return offset


def predict(graph: DataflowGraph, frames: int, stalls: Stalls | None = None, limit: int | None = None, *, shallow: bool = False) -> Trace:
    """Cycles of all transfers of `frames` frames, with a source that is full unless stalled; cycle 0 is the first out of reset.

    Runs until every stream has had all its transfers, or nothing can move any more. Raises CheckError on deadlock (an output that never
    got its last transfer), naming the units that wait for each other, and when `limit` cycles were not enough.

    shallow  every pipeline is of one stage. A rigid one that waits keeps the gaps of a slow source: at the worst it holds its last word
             alone. What ends though all hold so little ends under any stalls. Its cycles say nothing.
    """
    totals = {s.id: frames * s.transfers for s in graph.streams}
    trace, state = step(graph, totals, stalls, NEVER if limit is None else limit, shallow=shallow)
    if any(len(trace.transfers[s.id]) < totals[s.id] for s in graph.outputs):
        done = ", ".join(f"{s.id} {len(trace.transfers[s.id])} of {totals[s.id]}" for s in graph.outputs)
        if limit is not None and trace.cycles >= limit:
            raise CheckError("timing", found=f"not finished after {limit} cycles ({done} transfers)", allowed="a higher limit")
        raise _deadlock(graph, trace.cycles, done, state)
    return Trace(trace.transfers, max((int(t[-1]) + 1 for t in trace.transfers.values() if len(t)), default=0))


def _deadlock(graph: DataflowGraph, cycles: int, done: str, state: State) -> CheckError:
    waits, closed = explained(graph, state)
    full = [f"`{w.what}`" for w in waits if w.action == "take"]
    return CheckError(
        "timing", found=f"deadlock in cycle {cycles} ({done} transfers): {', '.join(map(str, waits)) or 'nothing waits'}",
        allowed="buffers that hold what a branch needs ahead of the other" if closed else "graphs in which every unit can go on",
        fix=f"a deeper FIFO on {' or '.join(full)}" if closed and full else "",
    )  # fmt: skip


def step(
    graph: DataflowGraph,
    totals: Mapping[str, int],
    stalls: Stalls | None,
    limit: int,
    period: Integers | None = None,
    *,
    shallow: bool = False,
) -> tuple[Trace, State]:
    """Runs until every stream has had its total of transfers, nothing can move any more, or `limit` cycles have passed.

    Returns what was seen, and the state of the last cycle. `period` as in `step_all`; it is written to.
    `shallow` as in `predict`.
    """
    period = np.array([-1, 0, 0, 0]) if period is None else period
    number = {s.id: k for k, s in enumerate(graph.streams)}
    tables = _flatten(graph, number, shallow)
    counts = np.array([totals[s.id] for s in graph.streams], np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    ends = [*graph.inputs, *graph.outputs]
    patterns = [np.ones(0, np.bool_) if stalls is None else stalls.go.get(s.id, np.ones(0, np.bool_)) for s in ends]
    starts = np.concatenate([[0], np.cumsum([len(p) for p in patterns])]).astype(np.int64)
    seen, record, cycles, flags, steps, counters = step_all(
        _array(tables.schedules, 11), _array(tables.takes), _array(tables.gives), _array(tables.needs, 3), _array(tables.adds, 2),
        _joined(tables.marks), _joined(tables.amounts), _array(tables.counters), _array(tables.buffers, 3),
        _array([number[s.id] for s in graph.inputs]), _array([number[s.id] for s in graph.outputs]),
        np.concatenate([*patterns, np.ones(0, np.bool_)]), starts, counts, offsets, limit, period,
    )  # fmt: skip
    transfers = {s.id: record[offsets[k] : offsets[k] + seen[k]] for k, s in enumerate(graph.streams)}
    valid, ready = ({s.id: bool(flags[k] & bit) for k, s in enumerate(graph.streams)} for bit in (1, 2))
    return Trace(transfers, int(cycles)), State(valid, ready, steps.tolist(), counters.tolist())


def _flatten(graph: DataflowGraph, number: dict[str, int], shallow: bool) -> _Tables:
    """Schedules in reverse topological order: a unit's readies are known before those of the units that feed it."""
    tables = _Tables()
    total = 0
    for node, control in placed(graph):
        ports = graph.ports(node)
        if control.buffer:
            tables.buffers.append([number[ports["i"].id], number[ports["o"].id], control.buffer])
        counter = {name: len(tables.counters) + k for k, name in enumerate(control.counters)}
        tables.counters += control.counters.values()
        # Within a unit the schedule that gives comes first: no port joins two schedules, so any order is right.
        for schedule in control.schedules:
            index = np.indices(schedule.bounds).reshape(len(schedule.bounds), -1)
            marks = np.zeros(schedule.steps, np.int64)
            for shift, group in ((0, schedule.takes), (16, schedule.gives)):
                for bit, mark in enumerate(group):
                    marks |= _holds(mark.when, index).astype(np.int64) << (shift + bit)
            depth = min(schedule.depth, 1) if shallow else schedule.depth
            row = [schedule.steps, total, depth, len(tables.takes), len(schedule.takes), len(tables.gives), len(schedule.gives)]
            row += [len(tables.needs), len(schedule.needs), len(tables.adds), len(schedule.adds)]
            tables.schedules.append(row)
            tables.takes += [number[ports[m.port].id] for m in schedule.takes]
            tables.gives += [number[ports[m.port].id] for m in schedule.gives]
            for need in schedule.needs:
                level = np.tensordot(np.array(need.coef), index, 1) + need.const
                tables.needs.append([counter[need.counter], need.sign, tables.amount(np.where(_holds(need.when, index), level, -NEVER))])
            for add in schedule.adds:
                change = np.where(_holds(add.when, index), np.array(add.delta)[_wraps(schedule, index)], 0)
                tables.adds.append([counter[add.counter], tables.amount(change)])
            tables.marks.append(marks)
            total += schedule.steps
    return tables


def _holds(when: tuple[Cond, ...], index: Integers) -> Bits:
    holds = np.ones(index.shape[1], np.bool_)
    for cond in when:
        value = np.tensordot(np.array(cond.coef), index, 1) + cond.const
        holds &= (cond.lo <= value) & (value < cond.hi)
    return holds


def _wraps(schedule: Schedule, index: Integers) -> Integers:
    """How many innermost loops wrap in each step."""
    ends = index == np.array(schedule.bounds)[:, None] - 1
    return np.logical_and.accumulate(ends[::-1], axis=0).sum(axis=0)


def _array(values: list[int] | list[list[int]], columns: int = 0) -> Integers:
    array = np.array(values, np.int64)
    return array.reshape(-1, columns) if columns else array


def _joined(tables: list[Integers]) -> Integers:
    return np.concatenate([*tables, np.zeros(1, np.int64)])


@dataclass(frozen=True)
class Figures:
    """A frame's time in cycles: an event at 0 seen at 3 took 3."""

    first_out: int  # first input transfer to first output transfer
    latency: int  # first input to last output transfer of the first frame
    interval: Fraction  # between frames in steady state; a fraction if it repeats over several frames only


def figures(graph: DataflowGraph, trace: Trace) -> Figures:
    """Figures of an unstalled run; with one frame the interval is its latency.

    The interval is exact if the run holds two periods of the steady state in its second half; else it is that half's mean.
    """
    first_in = min(int(trace.transfers[s.id][0]) for s in graph.inputs)
    ends = np.max([trace.transfers[s.id][s.transfers - 1 :: s.transfers] for s in graph.outputs], axis=0)
    first_out = min(int(trace.transfers[s.id][0]) for s in graph.outputs)
    gaps = np.diff(ends)
    latency = int(ends[0]) - first_in
    return Figures(first_out - first_in, latency, _steady(gaps[len(gaps) // 2 :]) if len(gaps) else Fraction(latency))


def interval(graph: DataflowGraph, frames: int) -> Fraction:
    """Cycles between frames in steady state, from a source that is always full.

    Exact, and quick: an engine without stalls whose whole state comes back at the end of a frame repeats itself for ever, so it is stepped
    only until then. If that does not happen within `frames`, what `figures` says of so many. Raises CheckError on deadlock.
    """
    end = graph.outputs[-1]
    period = np.array([[s.id for s in graph.streams].index(end.id), end.transfers, 0, 0])
    trace, _ = step(graph, {s.id: frames * s.transfers for s in graph.streams}, None, NEVER, period)
    if period[2]:
        return Fraction(int(period[3]), int(period[2]))
    whole = all(len(trace.transfers[s.id]) == frames * s.transfers for s in graph.outputs)
    return figures(graph, trace if whole else predict(graph, frames)).interval  # the latter says what waits for what


def _steady(gaps: Integers) -> Fraction:
    """Mean gap over one period: the shortest that the gaps repeat with."""
    period = next((p for p in range(1, len(gaps) // 2 + 1) if (gaps[p:] == gaps[:-p]).all()), len(gaps))
    return Fraction(int(gaps[-period:].sum()), period)
