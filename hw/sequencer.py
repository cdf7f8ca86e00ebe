"""The one Sequencer: runs any `Schedule` exactly as `arbonn.hw.schedule` defines it."""

from __future__ import annotations

from math import prod

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arbonn.hw.schedule import Cond, Control, Need, Schedule, carry_deltas


def counter_width(control: Control, name: str) -> int:
    """Bits of a signed counter: room for every level it is compared with, and a whole frame of each schedule's adds beyond it.

    A schedule may run into debt (it counts down what is not there yet), but by no more than a frame: a need in it waits before the next.
    """
    reach = abs(control.counters[name])
    for schedule in control.schedules:
        for need in schedule.needs:
            if need.counter == name:
                least, most = _range(need.coef, schedule.bounds)
                reach = max(reach, abs(need.const + least), abs(need.const + most))
    frame = 0
    for schedule in control.schedules:
        # outer[k]: steps in which at least k innermost loops wrap
        outer = [prod(schedule.bounds[: len(schedule.bounds) - k]) for k in range(len(schedule.bounds) + 1)] + [0]
        for add in schedule.adds:
            if add.counter == name:
                frame += sum(abs(delta) * (outer[k] - outer[k + 1]) for k, delta in enumerate(add.delta))
    return (reach + frame).bit_length() + 1


class Sequencer(wiring.Component):
    """Control of one schedule.

    Per port   valid_<p>, ready_<p> of the stream (given ports: valid is an output). now_<p>: this step takes from p (combinational).
    fire       this step is done in this cycle.    move: the pipeline behind it shifts in this cycle.
    index      one signal a loop, outermost first (constant 0 for a bound of 1).    wrap: the frame's last step (combinational).
    carry      one-hot: how many innermost loops wrap in this step, for accumulators of the datapath.    flag_<f>: this step has flag f.
    Counters   counter_<c>: value, in. add_<c>: change in this cycle, out; 0 unless the step fires.
    Timing     a step that fires in cycle t shows its gives in t + depth if nothing stalls; all valids are registers.
    Cost       sum of ceil(log2(bound)) + depth * gives flip-flops, and one accumulator for each form over two loops or more.
    """

    def __init__(self, schedule: Schedule, control: Control) -> None:
        self.schedule = schedule
        members: dict[str, object] = {"fire": Out(1), "move": Out(1), "wrap": Out(1), "carry": Out(len(schedule.bounds) + 1)}
        members |= {f"flag_{flag.port}": Out(1) for flag in schedule.flags}
        for mark in schedule.takes:
            members |= {f"valid_{mark.port}": In(1), f"ready_{mark.port}": Out(1), f"now_{mark.port}": Out(1)}
        for mark in schedule.gives:
            members |= {f"valid_{mark.port}": Out(1), f"ready_{mark.port}": In(1)}
        for level, bound in enumerate(schedule.bounds):
            if bound > 1:
                members[f"index_{level}"] = Out((bound - 1).bit_length())
        seen = sorted({need.counter for need in schedule.needs})
        added = sorted({add.counter for add in schedule.adds})
        members |= {f"counter_{c}": In(signed(counter_width(control, c))) for c in seen}
        members |= {f"add_{c}": Out(signed(counter_width(control, c))) for c in added}
        super().__init__(members)
        every = [m.port for m in (*schedule.takes, *schedule.gives)]
        self.valid = {p: getattr(self, f"valid_{p}") for p in every}
        self.ready = {p: getattr(self, f"ready_{p}") for p in every}
        self.now = {m.port: getattr(self, f"now_{m.port}") for m in schedule.takes}
        self.flag = {flag.port: getattr(self, f"flag_{flag.port}") for flag in schedule.flags}
        self.counter = {c: getattr(self, f"counter_{c}") for c in seen}
        self.added = {c: getattr(self, f"add_{c}") for c in added}
        self.index: list[Value] = [getattr(self, f"index_{k}") if n > 1 else Const(0, 1) for k, n in enumerate(schedule.bounds)]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        schedule = self.schedule
        self._forms: dict[tuple[int, ...], Signal] = {}
        self._carry = self._count(m)
        m.d.comb += self.carry.eq(Cat(*self._carry))
        m.d.comb += [self.flag[flag.port].eq(self._holds(m, flag.when)) for flag in schedule.flags]
        last_stage = self._stages(m)
        m.d.comb += self.move.eq(Cat(*(~bit | self.ready[p] for p, bit in last_stage.items())).all() if last_stage else 1)

        go = Signal()  # this step may fire as far as needs are concerned
        m.d.comb += go.eq(Cat(*(self._need(m, need) for need in schedule.needs)).all() if schedule.needs else 1)
        here = {mark.port: ~self.now[mark.port] | self.valid[mark.port] for mark in schedule.takes}
        for mark in schedule.takes:
            m.d.comb += self.now[mark.port].eq(self._holds(m, mark.when))
            others = [term for port, term in here.items() if port != mark.port]
            m.d.comb += self.ready[mark.port].eq(self.now[mark.port] & self.move & go & (Cat(*others).all() if others else 1))
        m.d.comb += self.fire.eq(self.move & go & (Cat(*here.values()).all() if here else 1))
        for add in schedule.adds:
            change: Value = Const(0, signed(len(self.added[add.counter])))
            for wraps, delta in enumerate(add.delta):
                change = Mux(self._carry[wraps], Const(delta, signed(len(self.added[add.counter]))), change)
            m.d.comb += self.added[add.counter].eq(Mux(self.fire & self._holds(m, add.when), change, 0))
        return m

    def _count(self, m: Module) -> list[Value]:
        """Loop indices; returns the carry, one-hot: how many innermost loops wrap in this step (0 .. levels)."""
        wrapping: Value = Const(1, 1)
        carry: list[Value] = []
        for level in reversed(range(len(self.schedule.bounds))):
            bound = self.schedule.bounds[level]
            ends = Signal(name=f"ends_{level}")
            m.d.comb += ends.eq(wrapping & (self.index[level] == bound - 1))
            carry.append(wrapping & ~ends)
            if bound > 1:
                with m.If(self.fire & wrapping):
                    m.d.sync += self.index[level].eq(Mux(ends, 0, self.index[level] + 1))
            wrapping = ends
        m.d.comb += self.wrap.eq(wrapping)
        return [*carry, wrapping]

    def _stages(self, m: Module) -> dict[str, Value]:
        """The give marks on their way through the pipeline; returns the last-stage bit of each given port."""
        last: dict[str, Value] = {}
        for mark in self.schedule.gives:
            stages = Signal(self.schedule.depth, name=f"stages_{mark.port}")
            given = Signal(name=f"give_{mark.port}")
            m.d.comb += [given.eq(self._holds(m, mark.when) & self.fire), self.valid[mark.port].eq(stages[-1])]
            with m.If(self.move):
                m.d.sync += stages.eq(Cat(given, stages))
            with m.Elif(self.ready[mark.port]):
                m.d.sync += stages[-1].eq(0)  # one consumer of a fork has taken, another has not
            last[mark.port] = stages[-1]
        return last

    def _holds(self, m: Module, when: tuple[Cond, ...]) -> Value:
        terms: list[Value] = []
        for cond in when:
            form = self._form(m, cond.coef)
            low, high = cond.lo - cond.const, cond.hi - cond.const  # low <= coef . index < high
            least, most = _range(cond.coef, self.schedule.bounds)
            if low == high - 1:
                terms.append(form == low)
            else:
                terms += [form >= low] if low > least else []
                terms += [form < high] if high <= most else []
        return Cat(*terms).all() if terms else Const(1, 1)

    def _need(self, m: Module, need: Need) -> Value:
        counter, form = self.counter[need.counter], self._form(m, need.coef)
        # One comparison, with no adder before it where a form over loops meets no constant but 0 or 1: this is an SWG's slowest path.
        if need.sign > 0:
            enough = counter > form + (need.const - 1) if need.const > 0 else counter >= form + need.const
        else:
            enough = -need.const - form >= counter
        return enough if not need.when else ~self._holds(m, need.when) | enough

    def _form(self, m: Module, coef: tuple[int, ...]) -> Value:
        """coef . index: the index itself, or one accumulator with a constant for each carry level."""
        used = [k for k, a in enumerate(coef) if a and self.schedule.bounds[k] > 1]
        if not used:
            return Const(0, 1)
        if len(used) == 1 and coef[used[0]] == 1:
            return self.index[used[0]]
        if coef not in self._forms:
            least, most = _range(coef, self.schedule.bounds)
            form = Signal(signed(max(abs(least), abs(most)).bit_length() + 1), name=f"form_{len(self._forms)}")
            self._forms[coef] = form
            change: Value = Const(0, 1)
            for wraps, delta in enumerate(carry_deltas(self.schedule.bounds, coef)):
                change = Mux(self._carry[wraps], Const(delta, signed(delta.bit_length() + 1)), change)
            with m.If(self.fire):
                m.d.sync += form.eq(form + change)
        return self._forms[coef]


def _range(coef: tuple[int, ...], bounds: tuple[int, ...]) -> tuple[int, int]:
    """Least and greatest value of coef . index."""
    ends = [a * (n - 1) for a, n in zip(coef, bounds, strict=True)]
    return sum(min(e, 0) for e in ends), sum(max(e, 0) for e in ends)
