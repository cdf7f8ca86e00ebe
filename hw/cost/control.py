"""Parts of a unit's control: what the Sequencers and shared counters of any `Control` are made of."""

from __future__ import annotations

from collections.abc import Iterable

from arbonn.hw.cost.cost import Parts, amounts
from arbonn.hw.schedule import Cond, Control, Schedule, carry_deltas
from arbonn.hw.sequencer import counter_width


def control_parts(control: Control, reads: int = 0) -> Parts:
    """Parts of all sequencers of a control and the counters between them.

    reads  the outermost loop whose index the datapath reads, or the number of loops: what nobody reads is not built.
    """
    total = amounts(0, unit=1)
    for name in control.counters:
        width = counter_width(control, name)
        total += amounts(width, counter=width)
    for schedule in control.schedules:
        total += _sequencer(schedule, control, reads)
    return total


def _sequencer(schedule: Schedule, control: Control, reads: int) -> Parts:
    conditions = set(_conditions(schedule))
    coefs = {cond.coef for cond in conditions} | {need.coef for need in schedule.needs}
    used = [level for coef in coefs for level in _used(schedule, coef)] + [0] * any(len(set(add.delta)) > 1 for add in schedule.adds)
    counted = schedule.bounds[min([reads, *used]) :]
    index = sum((bound - 1).bit_length() for bound in counted)
    uneven = sum((bound - 1).bit_length() for bound in counted if bound & (bound - 1))
    forms = {coef: _form_width(schedule, coef) for coef in coefs}
    tests = sum(_width(schedule, cond.coef) * (1 if cond.hi == cond.lo + 1 else 2) for cond in conditions)
    needs = sum(counter_width(control, need.counter) for need in schedule.needs)
    adds = sum(counter_width(control, add.counter) for add in schedule.adds)
    ports = len(schedule.takes) + len(schedule.gives)
    stages = schedule.depth * len(schedule.gives)
    return amounts(
        index + stages + sum(forms.values()),
        index=index, uneven_index=uneven, condition=tests, form=sum(forms.values()), need=needs, addition=adds, port=ports,
    )  # fmt: skip


def _conditions(schedule: Schedule) -> Iterable[Cond]:
    for mark in (*schedule.takes, *schedule.gives, *schedule.flags):
        yield from mark.when
    for need in schedule.needs:
        yield from need.when
    for add in schedule.adds:
        yield from add.when


def _used(schedule: Schedule, coef: tuple[int, ...]) -> list[int]:
    return [level for level, a in enumerate(coef) if a and schedule.bounds[level] > 1]


def _width(schedule: Schedule, coef: tuple[int, ...]) -> int:
    """Bits of a form's value."""
    used = _used(schedule, coef)
    if not used:
        return 0
    if len(used) == 1 and coef[used[0]] == 1:
        return (schedule.bounds[used[0]] - 1).bit_length()
    return sum(abs(coef[level]) * (schedule.bounds[level] - 1) for level in used).bit_length() + 1


def _form_width(schedule: Schedule, coef: tuple[int, ...]) -> int:
    """Flip-flops of the accumulator of a form: none where it is a loop's index; its lowest bits may never change."""
    used = _used(schedule, coef)
    if not used or (len(used) == 1 and coef[used[0]] == 1):
        return 0
    least, most = (sum(pick(0, coef[k] * (schedule.bounds[k] - 1)) for k in used) for pick in (min, max))
    still = 0
    for delta in carry_deltas(schedule.bounds, coef):
        still |= delta
    # Of a form that is never negative the sign bit stays 0 too, but synthesis cannot see that.
    return max(abs(least), abs(most)).bit_length() + 1 - ((still & -still).bit_length() - 1 if still else 0)
