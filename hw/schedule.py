"""Control as data: a unit's control is a nest of counted loops whose steps are marked with the ports they take from and give to.

One iteration of the innermost loop is a *step*; an endless loop over frames is around the nest. The Amaranth `Sequencer`
(`arbonn.hw.sequencer`) runs any schedule, the timing engine (`arbonn.sim.timing`) steps any schedule, and both read only this file:
that is why predicted and simulated cycles are equal by construction.

Exact semantics, in one clock cycle (all state is registered; cycle 0 is the first one out of reset):

    move   = for every give port: its last-stage bit is clear, or its ready is high          (no gives: 1)
    fire   = move, and every port taken in this step has valid, and every need of this step holds
    ready  = move, and the port is taken in this step, and the needs hold, and the OTHER taken ports have valid
    on move:     stage 1 receives this step's give marks if `fire`, else a bubble; all stages shift
    without it:  each last-stage bit clears when its port is taken (each consumer of a fork takes in its own time)
    on fire:     the loop indices step; counters change by their adds, seen from the next cycle on
    valid  = last-stage bit: a step that fires in cycle t shows its gives in cycle t + depth, if nothing stalls

A step without a give still fires and costs a cycle. Bubbles advance but never collapse behind a stalled output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product


@dataclass(frozen=True)
class Cond:
    """Holds in steps where lo <= coef . index + const < hi; `coef` has one entry a loop, outermost first."""

    coef: tuple[int, ...]
    const: int
    lo: int
    hi: int

    def holds(self, index: tuple[int, ...]) -> bool:
        return self.lo <= sum(a * i for a, i in zip(self.coef, index, strict=True)) + self.const < self.hi


@dataclass(frozen=True)
class Mark:
    """This port transfers in the steps where all conditions hold."""

    port: str
    when: tuple[Cond, ...] = ()


@dataclass(frozen=True)
class Need:
    """In the steps where `when` holds, the step waits until sign * counter >= coef . index + const."""

    counter: str
    sign: int
    coef: tuple[int, ...]
    const: int
    when: tuple[Cond, ...] = ()


@dataclass(frozen=True)
class Add:
    """On fire, where `when` holds, the counter changes by delta[k], k = how many innermost loops wrap (k = all: end of frame)."""

    counter: str
    delta: tuple[int, ...]
    when: tuple[Cond, ...] = ()


@dataclass(frozen=True)
class Schedule:
    """One nest: `bounds` outermost first, and what its steps take, give, wait for and count. `depth` >= 1 if anything is given.

    `flags` are conditions by name that the datapath asks for (is this tap inside the image?); they change no cycle.
    """

    bounds: tuple[int, ...]
    takes: tuple[Mark, ...] = ()
    gives: tuple[Mark, ...] = ()
    needs: tuple[Need, ...] = ()
    adds: tuple[Add, ...] = ()
    depth: int = 0
    flags: tuple[Mark, ...] = ()

    def __post_init__(self) -> None:
        levels = len(self.bounds)
        assert self.bounds
        assert all(bound >= 1 for bound in self.bounds)
        assert (self.depth >= 1) == bool(self.gives), "a schedule has pipeline stages exactly if it gives"
        conditions = [mark.when for mark in (*self.takes, *self.gives, *self.flags)]
        conditions += [need.when for need in self.needs] + [add.when for add in self.adds]
        assert all(len(cond.coef) == levels for when in conditions for cond in when)
        assert all(len(need.coef) == levels and need.sign in (1, -1) for need in self.needs)
        assert all(len(add.delta) == levels + 1 for add in self.adds)
        ports = [m.port for m in (*self.takes, *self.gives)]
        assert len(ports) == len(set(ports)), "a port is marked once in a schedule"

    @property
    def steps(self) -> int:
        """Steps in a frame: the fewest cycles a frame can keep this schedule busy."""
        total = 1
        for bound in self.bounds:
            total *= bound
        return total

    def count(self, when: tuple[Cond, ...]) -> int:
        """Steps of a frame in which all conditions hold."""
        used = [any(cond.coef[level] for cond in when) for level in range(len(self.bounds))]
        some = replace(self, bounds=tuple(n if u else 1 for n, u in zip(self.bounds, used, strict=True)))
        found = sum(all(cond.holds(index) for cond in when) for index in some.indices())
        return found * (self.steps // some.steps)

    def indices(self) -> Iterator[tuple[int, ...]]:
        """All loop indices of a frame, in order."""
        return product(*(range(bound) for bound in self.bounds))


def at(bounds: tuple[int, ...], level: int, lo: int, hi: int | None = None) -> tuple[Cond, ...]:
    """The condition lo <= index[level] < hi (hi defaults to lo + 1) in a nest of `bounds`; empty when it always holds."""
    stop = lo + 1 if hi is None else hi
    if lo <= 0 and stop >= bounds[level]:
        return ()
    return (Cond(tuple(int(k == level) for k in range(len(bounds))), 0, lo, stop),)


def last(bounds: tuple[int, ...], level: int) -> tuple[Cond, ...]:
    """The condition index[level] = bounds[level] - 1."""
    return at(bounds, level, bounds[level] - 1)


@dataclass(frozen=True)
class Control:
    """All control of a unit: one or more schedules that see each other only through signed counters (name -> initial value).

    `buffer` > 0 is a FIFO of so many words from port i to port o, the one unit without a schedule: valid = n > 0, ready = n < buffer,
    both from registers. Full: no push, even while popping. Empty: no pop. Pushed in t, visible in t + 1.
    """

    schedules: tuple[Schedule, ...] = ()
    counters: dict[str, int] = field(default_factory=dict)
    buffer: int = 0


def carry_deltas(bounds: tuple[int, ...], coef: tuple[int, ...]) -> tuple[int, ...]:
    """How the form coef . index changes in a step, by the number of innermost loops that wrap (0 .. len(bounds)).

    So every affine form (condition, need, address) is one accumulator with a constant for each carry level, and no multiplier. The
    last entry is the change at the end of a frame, back to index 0.
    """
    levels = len(bounds)
    deltas = []
    for wraps in range(levels + 1):
        back = sum(coef[k] * (bounds[k] - 1) for k in range(levels - wraps, levels))
        deltas.append((coef[levels - wraps - 1] if wraps < levels else 0) - back)
    return tuple(deltas)
