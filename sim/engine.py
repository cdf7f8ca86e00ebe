"""The compiled inner loop of the timing engine (`arbonn.sim.timing` prepares its tables)."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from arbonn.hw.datatypes import Integers

NEVER = 1 << 60  # no counter and no cycle reaches it
KEPT = 32  # states at the ends of the last frames


@njit(cache=True)
def calm_steps(schedules: Integers, marks: Integers) -> Integers:
    """For each step, how many steps from it on, to the frame's end at most, neither take nor give; 0 with needs or counters."""
    calm = np.zeros(len(marks), np.int64)
    for s in range(len(schedules)):
        if schedules[s, 8] == 0 and schedules[s, 10] == 0:
            run = 0
            for k in range(schedules[s, 1] + schedules[s, 0] - 1, schedules[s, 1] - 1, -1):
                run = run + 1 if marks[k] == 0 else 0
                calm[k] = run
    return calm


@njit(cache=True)
def step_all(
    schedules: Integers, takes: Integers, gives: Integers, needs: Integers, adds: Integers, marks: Integers, amounts: Integers,
    counters: Integers, buffers: Integers, inputs: Integers, outputs: Integers, patterns: NDArray[np.bool_], starts: Integers,
    totals: Integers, offsets: Integers, limit: int, period: Integers,
) -> tuple[Integers, Integers, int, Integers, Integers, Integers]:  # fmt: skip
    """Steps every schedule and buffer until all transfers are done, nothing can move any more, or `limit` cycles have passed.

    Returns transfers seen a stream, their cycles (at `offsets`), the cycles run, and of the last one: valid + 2 ready of each stream, the
    step of each schedule, the counters. `period` = (stream, its transfers a frame, 0, 0), stream -1 for none: ends as soon as the state at
    the end of a frame on that stream is one that was there before, and says (…, frames between the two, cycles between them).
    """
    streams, units = len(totals), len(schedules)
    record = np.zeros(offsets[streams], np.int64)
    seen = np.zeros(streams, np.int64)
    valid, ready = np.zeros(streams, np.bool_), np.zeros(streams, np.bool_)
    stages = np.zeros(max(1, len(gives)), np.int64)  # bit k: the give mark in stage k + 1
    step = np.zeros(units, np.int64)
    move, fire = np.zeros(units, np.bool_), np.zeros(units, np.bool_)
    filled = np.zeros(len(buffers), np.int64)
    pending = np.zeros(len(inputs), np.bool_)
    change = np.zeros(len(counters), np.int64)
    calm = calm_steps(schedules, marks)
    left = totals.sum()
    last_stall = 0  # from here on every end lets everything go
    for k in range(len(starts) - 1):
        last_stall = max(last_stall, starts[k + 1] - starts[k])
    kept = np.zeros((KEPT, units + len(stages) + len(counters) + len(buffers) + len(inputs)), np.int64)
    at, frames = np.zeros(KEPT, np.int64), 0
    t = 0
    while left > 0 and t < limit:
        all_go = True
        for k in range(len(inputs)):
            go = starts[k] + t >= starts[k + 1] or patterns[starts[k] + t]
            all_go &= go
            pending[k] |= go
            valid[inputs[k]] = pending[k] and seen[inputs[k]] < totals[inputs[k]]
        for k in range(len(outputs)):
            p = len(inputs) + k
            go = starts[p] + t >= starts[p + 1] or patterns[starts[p] + t]
            all_go &= go
            ready[outputs[k]] = go
        for k in range(len(buffers)):
            ready[buffers[k, 0]] = filled[k] < buffers[k, 2]
            valid[buffers[k, 1]] = filled[k] > 0
        for s in range(units):
            last = schedules[s, 2] - 1
            for g in range(schedules[s, 5], schedules[s, 5] + schedules[s, 6]):
                valid[gives[g]] = (stages[g] >> last) & 1
        for s in range(units):
            now = marks[schedules[s, 1] + step[s]]
            moves = True
            for g in range(schedules[s, 5], schedules[s, 5] + schedules[s, 6]):
                moves &= not valid[gives[g]] or ready[gives[g]]
            enough = True
            for n in range(schedules[s, 7], schedules[s, 7] + schedules[s, 8]):
                enough &= needs[n, 1] * counters[needs[n, 0]] >= amounts[needs[n, 2] + step[s]]
            first, count = schedules[s, 3], schedules[s, 4]
            missing = 0
            for k in range(count):
                missing += ((now >> k) & 1) and not valid[takes[first + k]]
            for k in range(count):
                taken = (now >> k) & 1
                others = missing - (1 if taken and not valid[takes[first + k]] else 0)
                ready[takes[first + k]] = taken and moves and enough and others == 0
            move[s] = moves
            fire[s] = moves and enough and missing == 0
        changed = busy = False  # busy: more than loop indices has changed
        for e in range(streams):
            if valid[e] and ready[e]:
                record[offsets[e] + seen[e]] = t
                seen[e] += 1
                left -= 1
                changed = busy = True
        for k in range(len(inputs)):
            pending[k] &= not (valid[inputs[k]] and ready[inputs[k]])
        for k in range(len(buffers)):
            push, pop = buffers[k, 0], buffers[k, 1]
            filled[k] += (valid[push] and ready[push]) - (valid[pop] and ready[pop])
        for s in range(units):
            now = marks[schedules[s, 1] + step[s]]
            depth = schedules[s, 2]
            for k in range(schedules[s, 6]):
                g = schedules[s, 5] + k
                before = stages[g]
                if move[s]:
                    given = (now >> (16 + k)) & 1 if fire[s] else 0
                    stages[g] = ((stages[g] << 1) | given) & ((1 << depth) - 1)
                elif ready[gives[g]]:
                    stages[g] &= ~(1 << (depth - 1))
                busy |= stages[g] != before
            if fire[s]:
                changed = True
                for a in range(schedules[s, 9], schedules[s, 9] + schedules[s, 10]):
                    change[adds[a, 0]] += amounts[adds[a, 1] + step[s]]
                step[s] = step[s] + 1 if step[s] + 1 < schedules[s, 0] else 0
        for c in range(len(counters)):
            counters[c] += change[c]
            change[c] = 0
        t += 1
        end = period[0]
        if end >= 0 and record[offsets[end] + seen[end] - 1] == t - 1 and seen[end] > 0 and seen[end] % period[1] == 0:
            more = True
            for k in range(len(inputs)):
                more &= seen[inputs[k]] < totals[inputs[k]]
            state = kept[frames % KEPT]
            position = 0
            for part in (step, stages, counters, filled):
                state[position : position + len(part)] = part
                position += len(part)
            for k in range(len(inputs)):
                state[position + k] = pending[k]
            at[frames % KEPT] = t
            for earlier in range(max(0, frames - KEPT + 1), frames):
                if more and (kept[earlier % KEPT] == state).all():
                    period[2], period[3] = frames - earlier, t - at[earlier % KEPT]
                    left = 0
            frames += 1
        if not changed and not busy and all_go:
            break
        if changed and not busy and t > last_stall:  # the cycle that has just passed was not stalled either
            # Until the first schedule leaves its calm steps, every cycle is like this one: they are passed over at once.
            skip = limit - t
            for s in range(units):
                if fire[s]:
                    skip = min(skip, calm[schedules[s, 1] + step[s]])
            t += skip
            for s in range(units):
                if fire[s]:
                    step[s] = (step[s] + skip) % schedules[s, 0]
    return seen, record, t, valid.astype(np.int64) + 2 * ready.astype(np.int64), step, counters
